/** Reads the content of a piece of a file and makes its checksum. */

import { closeSync, constants, openSync } from 'node:fs';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import { cutAt, rangesOf, windowsOf } from '../src/domain/move-plan.js';
import type { FileMark, MoveIntent } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB, roundUp } from '../src/domain/units.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { fileMappings } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError, KernelCallError } from '../src/kernel/kernel-error.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { TransferBatch } from '../src/kernel/transfer-batch.js';
import { Pace, Stopped } from './move-pace.js';
import { extentBuffer } from './replica-io.js';

/** Read at a time; the thread keeps two such buffers, one to read into and one to hash. */
const BATCH_BYTES = 8 * MIB;
/** Of one file at a time, so that a large file gives the disk several requests too. */
const CHUNK_BYTES = MIB;
const BLOCK_BYTES = 4096;

export interface ContentReader extends Disposable {
  readonly file: OpenFile;
  /** Whether it reads past the page cache. */
  readonly direct: boolean;
}

/** What of one file is read. */
export interface ContentSource {
  readonly file: OpenFile;
  readonly ranges: readonly ByteRun[];
  /** Where the file that is read begins in the file that it stands for: the start of a donor. */
  readonly shiftBytes?: number;
  /** Gets each chunk, in order, only valid during the call. */
  readonly sink?: (chunk: Buffer, atBytes: number) => void;
}

export interface ReadOptions {
  readonly pace: Pace;
  /** Whether a stop may end it between two batches. */
  readonly stoppable: boolean;
  /** False to read only, for what is to be found in the page cache or copied: checksums are empty. */
  readonly hashes?: boolean;
}

/**
 * What of a piece was ever written. Holes and what is only allocated are not content: they read as
 * zeros, and must be where they were after a move.
 */
export function contentRanges(file: OpenFile, piece: ByteRun, sizeBytes: number): ByteRun[] {
  return cutAt(rangesOf(fileMappings(file, piece), piece, true), sizeBytes);
}

/**
 * BLAKE3 over where each range lies and what is in it, so that a hole that was filled, or a range
 * that became unwritten, is a difference too.
 *
 * @returns per source its checksum in hex, or why it has none: ERR_MAP_CHANGED when the file is
 *   shorter than its ranges.
 * @throws Stopped when stoppable.
 */
export function checksumAll(
  sources: readonly ContentSource[],
  { pace, stoppable, hashes = true }: ReadOptions,
): (string | MaintenanceError)[] {
  const states = sources.map((source) => new HashState(source, hashes));
  using reads = new ReadPipeline();
  let batch: Chunk[] = [];
  let batchBytes = 0;
  const flush = (): void => {
    if (stoppable && pace.isStopped) throw new Stopped();
    reads.push(batch);
    if (pace.givesWay) reads.drain();
    pace.spend(batchBytes);
    batch = [];
    batchBytes = 0;
  };
  const limitBytes = Math.min(BATCH_BYTES, pace.windowBytes);
  for (const state of states) {
    for (const chunk of chunksOf(state, Math.min(CHUNK_BYTES, limitBytes))) {
      if (state.error) break;
      const spaceBytes = roundUp(chunk.lengthBytes, BLOCK_BYTES);
      if (batchBytes + spaceBytes > limitBytes) flush();
      batch.push({ ...chunk, bufferBytes: batchBytes });
      batchBytes += spaceBytes;
    }
  }
  flush();
  reads.drain();
  return states.map((state) => state.result());
}

/** One file. @throws MaintenanceError instead of returning it; `Stopped`. */
export function checksumOne(source: ContentSource, options: ReadOptions): string {
  const [result] = checksumAll([source], options);
  if (typeof result === 'string') return result;
  throw result;
}

interface Chunk extends ByteRun {
  readonly state: HashState;
  readonly bufferBytes: number;
  /** Whether a range begins here. */
  readonly range: ByteRun | null;
}

class HashState {
  readonly source: ContentSource;
  readonly #hasher: Blake3Hasher | null;
  error: MaintenanceError | null = null;

  constructor(source: ContentSource, hashes: boolean) {
    this.source = source;
    this.#hasher = hashes ? new Blake3Hasher() : null;
  }

  take({ range, startBytes }: Chunk, bytes: Buffer): void {
    const { shiftBytes = 0, sink } = this.source;
    if (range && this.#hasher) {
      this.#hasher.update(Buffer.from(`${range.startBytes + shiftBytes}+${range.lengthBytes};`));
    }
    this.#hasher?.update(bytes);
    try {
      sink?.(bytes, startBytes);
    } catch (cause) {
      this.error = asMaintenanceError(cause);
    }
  }

  result(): string | MaintenanceError {
    return this.error ?? this.#hasher?.digestBuffer().toString('hex') ?? '';
  }
}

function* chunksOf(state: HashState, chunkBytes: number): Generator<Omit<Chunk, 'bufferBytes'>> {
  for (const range of state.source.ranges) {
    for (const { startBytes, lengthBytes } of windowsOf(range, chunkBytes)) {
      yield {
        state,
        startBytes,
        lengthBytes,
        range: startBytes === range.startBytes ? range : null,
      };
    }
  }
}

/** Reads one batch while the one before is hashed: neither the disk nor the processor waits. */
class ReadPipeline implements Disposable {
  #underWay: { readonly chunks: readonly Chunk[]; readonly reads: TransferBatch } | null = null;
  #slot = 0;

  push(chunks: readonly Chunk[]): void {
    if (chunks.length === 0) return;
    const before = this.#finish();
    this.#slot = 1 - this.#slot;
    const requests = chunks.map(({ state, startBytes, lengthBytes, bufferBytes }) => ({
      file: state.source.file,
      atBytes: startBytes,
      // Whole blocks, as O_DIRECT wants them.
      lengthBytes: roundUp(lengthBytes, BLOCK_BYTES),
      bufferBytes,
    }));
    const reads = TransferBatch.read(requests, extentBuffer(BATCH_BYTES, this.#slot));
    this.#underWay = { chunks, reads };
    before?.();
  }

  drain(): void {
    this.#finish()?.();
  }

  /** The files are closed next. */
  [Symbol.dispose](): void {
    this.#finish();
  }

  /** @returns what hashes the batch that was under way. */
  #finish(): (() => void) | null {
    if (!this.#underWay) return null;
    const { chunks, reads } = this.#underWay;
    this.#underWay = null;
    const results = reads.finish();
    return () => hashChunks(chunks, results, reads.buffer);
  }
}

function hashChunks(
  chunks: readonly Chunk[],
  results: ReturnType<TransferBatch['finish']>,
  buffer: Buffer,
): void {
  for (const [index, result] of results.entries()) {
    const chunk = chunks[index];
    if (!chunk || chunk.state.error) continue;
    const { state, lengthBytes, bufferBytes } = chunk;
    if (typeof result !== 'number') state.error = result;
    else if (result < lengthBytes) state.error = shorter(state.source.file);
    else state.take(chunk, buffer.subarray(bufferBytes, bufferBytes + lengthBytes));
  }
}

/** Truncated while it was read. */
function shorter(file: OpenFile): MaintenanceError {
  return new MaintenanceError('ERR_MAP_CHANGED', `${file.path} became shorter`);
}

/** Opens a file again so that what is read comes from the disk and leaves nothing in the cache. */
export function openFromDisk(mount: OpenFile, handle: string): ContentReader {
  return openPastCache((flag) => openByHandle(mount, handle, constants.O_RDONLY | flag));
}

/** The same for a file that is open. */
export function openReader({ fd, path }: OpenFile): ContentReader {
  return openPastCache((flag) => {
    try {
      return { fd: openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | flag), path };
    } catch (cause) {
      throw fromNodeError('open', cause, path);
    }
  });
}

/** Through the cache where the file system has no O_DIRECT: the caller drops it first. */
function openPastCache(open: (flag: number) => OpenFile): ContentReader {
  const reader = (file: OpenFile, direct: boolean): ContentReader => ({
    file,
    direct,
    [Symbol.dispose]: () => closeSync(file.fd),
  });
  try {
    return reader(open(constants.O_DIRECT), true);
  } catch (cause) {
    if (!(cause instanceof KernelCallError) || cause.details.errnoName !== 'EINVAL') throw cause;
    return reader(open(0), false);
  }
}

export function pieceOfIntent({ startBytes, lengthBytes }: MoveIntent): ByteRun {
  return { startBytes, lengthBytes };
}

export function sameMark(a: FileMark, b: FileMark): boolean {
  return a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

/** An open reader of the piece of an intent, and what it reads. */
export interface DiskSource extends ContentSource, Disposable {}

/** Opens the piece of an intent so that it is read as it is on the disk now. */
export function diskSource(mount: OpenFile, intent: MoveIntent): DiskSource {
  const reader = openFromDisk(mount, intent.handle);
  const piece = pieceOfIntent(intent);
  const close = (): void => reader[Symbol.dispose]();
  try {
    if (!reader.direct) dropPageCache(reader.file, piece);
    const ranges = contentRanges(reader.file, piece, intent.mark.sizeBytes);
    return { file: reader.file, ranges, [Symbol.dispose]: close };
  } catch (cause) {
    close();
    throw cause;
  }
}

/** Checksums the piece of an intent as it is on the disk now. */
export function checksumOnDisk(mount: OpenFile, intent: MoveIntent): string {
  using source = diskSource(mount, intent);
  return checksumOne(source, { pace: new Pace(null), stoppable: false });
}
