/** Reads the content of a piece of a file and makes its checksum. */

import { Blake3Hasher } from '@napi-rs/blake-hash';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import { cutAt, type MappingRecords, rangesOf } from '../src/domain/move-plan.js';
import type { FileMark, MoveIntent } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB, roundUp } from '../src/domain/units.js';
import { fileMappings } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { TransferBatch, type TransferRequest } from '../src/kernel/transfer-batch.js';
import { type ContentReader, openFromDisk } from './content-reader.js';
import { Pace, Stopped } from './move-pace.js';
import { extentBuffer } from './replica-io.js';

/** Read at a time; the thread keeps two such buffers, one to read into and one to hash. */
const BATCH_BYTES = 8 * MIB;
/** Of one file at a time, so that a large file gives the disk several requests too. */
const CHUNK_BYTES = MIB;
const BLOCK_BYTES = 4096;

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

/** As `contentRanges`, of mappings that are known. */
export function writtenRanges(
  records: MappingRecords,
  piece: ByteRun,
  sizeBytes: number,
): ByteRun[] {
  return cutAt(rangesOf(records, piece, true), sizeBytes);
}

/**
 * What of a piece was ever written. Holes and what is only allocated are not content: they read as
 * zeros, and must be where they were after a move.
 */
export function contentRanges(file: OpenFile, piece: ByteRun, sizeBytes: number): ByteRun[] {
  return writtenRanges(fileMappings(file, piece), piece, sizeBytes);
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
  const batchBytesMax = Math.min(BATCH_BYTES, pace.windowBytes);
  const chunkBytesMax = Math.min(CHUNK_BYTES, batchBytesMax);
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
  for (const state of states) {
    for (const chunk of chunksOf(state, chunkBytesMax)) {
      if (state.error) break;
      if (batchBytes + chunk.lengthBytes > batchBytesMax) flush();
      // What nobody looks at may lie upon each other, where the processor has it at hand.
      chunk.bufferBytes = state.isUsed ? batchBytes : 0;
      batch.push(chunk);
      batchBytes += chunk.lengthBytes;
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

interface Chunk extends TransferRequest {
  readonly state: HashState;
  readonly atBytes: number;
  /** Whole blocks, as O_DIRECT wants them. */
  readonly lengthBytes: number;
  bufferBytes: number;
  readonly contentBytes: number;
  /** Which range begins here. */
  readonly range: ByteRun | null;
}

class HashState {
  readonly source: ContentSource;
  readonly #hasher: Blake3Hasher | null;
  /** Whether somebody looks at what is read. */
  readonly isUsed: boolean;
  error: MaintenanceError | null = null;

  constructor(source: ContentSource, hashes: boolean) {
    this.source = source;
    this.#hasher = hashes ? new Blake3Hasher() : null;
    this.isUsed = hashes || source.sink !== undefined;
  }

  take({ range, atBytes }: Chunk, bytes: Buffer): void {
    const { shiftBytes = 0, sink } = this.source;
    if (range && this.#hasher) {
      this.#hasher.update(Buffer.from(`${range.startBytes + shiftBytes}+${range.lengthBytes};`));
    }
    this.#hasher?.update(bytes);
    try {
      sink?.(bytes, atBytes);
    } catch (cause) {
      this.error = asMaintenanceError(cause);
    }
  }

  result(): string | MaintenanceError {
    return this.error ?? this.#hasher?.digestBuffer().toString('hex') ?? '';
  }
}

function chunksOf(state: HashState, chunkBytesMax: number): Chunk[] {
  const { file, ranges } = state.source;
  const chunks: Chunk[] = [];
  for (const range of ranges) {
    const endBytes = range.startBytes + range.lengthBytes;
    for (let atBytes = range.startBytes; atBytes < endBytes; atBytes += chunkBytesMax) {
      const contentBytes = Math.min(chunkBytesMax, endBytes - atBytes);
      chunks.push({
        state,
        file,
        atBytes,
        lengthBytes: roundUp(contentBytes, BLOCK_BYTES),
        bufferBytes: 0,
        contentBytes,
        range: atBytes === range.startBytes ? range : null,
      });
    }
  }
  return chunks;
}

/** Reads one batch while the one before is hashed: neither the disk nor the processor waits. */
class ReadPipeline implements Disposable {
  #underWay: { readonly chunks: readonly Chunk[]; readonly reads: TransferBatch } | null = null;
  #slot = 0;

  push(chunks: readonly Chunk[]): void {
    if (chunks.length === 0) return;
    const before = this.#finish();
    this.#slot = 1 - this.#slot;
    const reads = TransferBatch.read(chunks, extentBuffer(BATCH_BYTES, this.#slot));
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
    const { state, contentBytes, bufferBytes } = chunk;
    if (typeof result !== 'number') state.error = result;
    else if (result < contentBytes) state.error = shorter(state.source.file);
    else if (state.isUsed) {
      state.take(chunk, buffer.subarray(bufferBytes, bufferBytes + contentBytes));
    }
  }
}

/** Truncated while it was read. */
function shorter(file: OpenFile): MaintenanceError {
  return new MaintenanceError('ERR_MAP_CHANGED', `${file.path} became shorter`);
}

export function pieceOfIntent({ startBytes, lengthBytes }: MoveIntent): ByteRun {
  return { startBytes, lengthBytes };
}

export function sameMark(a: FileMark, b: FileMark): boolean {
  return a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}

/**
 * What of the piece of an intent is read to see what the disk has.
 *
 * @param records mappings of the file, where they are known.
 */
export function contentOnDisk(
  { file, direct }: ContentReader,
  intent: MoveIntent,
  records: MappingRecords | null = null,
): ContentSource {
  const piece = pieceOfIntent(intent);
  if (!direct) dropPageCache(file, piece);
  const mappings = records ?? fileMappings(file, piece);
  return { file, ranges: writtenRanges(mappings, piece, intent.mark.sizeBytes) };
}

/** Checksums the piece of an intent as it is on the disk now. */
export function checksumOnDisk(mount: OpenFile, intent: MoveIntent): string {
  using reader = openFromDisk(mount, intent.handle);
  const source = contentOnDisk(reader, intent);
  return checksumOne(source, { pace: new Pace(null), stoppable: false });
}
