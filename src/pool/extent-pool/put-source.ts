/** What a put reads: entries, the extents that their content is cut into, and whether it held still. */

import { lstatSync } from 'node:fs';
import { MaintenanceError, type WireError } from '../../domain/errors.js';
import type { StoreExtent } from '../../domain/tasks.js';
import type { ObjectKind } from '../../store/objects.js';
import { allocatedBytes } from './layout.js';
import type { StreamMemory } from './stream-memory.js';

/** What to store, and under which name. */
export interface PutEntry {
  readonly name: string;
  readonly kind: ObjectKind;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly linkTarget: string | null;
  /** The file to read; null when `content` brings the bytes. */
  readonly sourcePath: string | null;
  /** Content of unknown length, for example standard input. */
  readonly content: AsyncIterable<Uint8Array> | null;
}

export interface ExtentSource {
  readonly source: StoreExtent['source'];
  readonly data: Uint8Array | null;
  readonly sizeBytes: number;
}

/** Extents of a file, in order; none of what has no content. */
export function* extentsOf(entry: PutEntry, extentBytes: number): Generator<ExtentSource> {
  if (entry.kind !== 'file' || entry.sourcePath === null) return;
  for (let offsetBytes = 0; offsetBytes < entry.sizeBytes; offsetBytes += extentBytes) {
    const sizeBytes = Math.min(extentBytes, entry.sizeBytes - offsetBytes);
    yield { source: { path: entry.sourcePath, offsetBytes }, data: null, sizeBytes };
  }
}

/**
 * As `extentsOf`, of any entry, `extentsPerChunk` at a time.
 *
 * @param memory for content that is a stream; whoever has used the data of an extent gives it back.
 */
export async function* chunksOf(
  entry: PutEntry,
  extentBytes: number,
  extentsPerChunk: number,
  memory: () => StreamMemory,
): AsyncGenerator<ExtentSource[]> {
  let chunk: ExtentSource[] = [];
  const extents = entry.content
    ? cutStream(entry.content, extentBytes, memory())
    : extentsOf(entry, extentBytes);
  for await (const extent of extents) {
    if (chunk.push(extent) < extentsPerChunk) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** A copy of a file that was written to meanwhile is a mix of two contents: never keep one. */
export function changedSource(entry: PutEntry): WireError | null {
  if (entry.kind !== 'file' || entry.sourcePath === null) return null;
  const now = lstatSync(entry.sourcePath, { throwIfNoEntry: false });
  if (now?.size === entry.sizeBytes && now.mtimeMs === entry.mtimeMs) return null;
  return new MaintenanceError('ERR_MAP_CHANGED', `${entry.sourcePath} changed while it was read`, {
    nextStep: 'Store it again when nobody writes to it.',
  }).toWire();
}

async function* cutStream(
  content: AsyncIterable<Uint8Array>,
  extentBytes: number,
  memory: StreamMemory,
): AsyncGenerator<ExtentSource> {
  let data: Uint8Array | null = null;
  let filledBytes = 0;
  for await (const piece of content) {
    for (let from = 0; from < piece.length; ) {
      data ??= await memory.take();
      const takenBytes = Math.min(piece.length - from, extentBytes - filledBytes);
      data.set(piece.subarray(from, from + takenBytes), filledBytes);
      filledBytes += takenBytes;
      from += takenBytes;
      if (filledBytes < extentBytes) continue;
      yield { source: null, data, sizeBytes: extentBytes };
      data = null;
      filledBytes = 0;
    }
  }
  if (data && filledBytes > 0) {
    const wholeBytes = allocatedBytes(filledBytes);
    data.fill(0, filledBytes, wholeBytes);
    yield { source: null, data: data.subarray(0, wholeBytes), sizeBytes: filledBytes };
  }
}
