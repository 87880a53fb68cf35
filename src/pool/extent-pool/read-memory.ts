/**
 * Pieces of memory, one extent each, that threads read into. They are used again by one read after
 * the other: new memory costs more than what is copied into it, and all of it stays bounded.
 */

import { MIB } from '../../domain/units.js';
import { alignedSharedMemory } from '../../kernel/shared-memory.js';

/** What a stream holds where its pieces allow it, and what a pool keeps between reads. */
const STREAM_BYTES = 16 * MIB;
/** One that is used and one that is read: with fewer, disk and reader would wait for each other. */
const STREAM_PIECES_MIN = 2;
const STREAM_PIECES_MAX = 4;

export class ReadMemory {
  /** How many pieces a stream may have. */
  readonly streamPieces: number;
  readonly #pieceBytes: number;
  readonly #free: SharedArrayBuffer[] = [];

  constructor(extentBytes: number) {
    this.#pieceBytes = extentBytes;
    const fitting = Math.floor(STREAM_BYTES / extentBytes);
    this.streamPieces = Math.min(STREAM_PIECES_MAX, Math.max(STREAM_PIECES_MIN, fitting));
  }

  /** @returns a piece with anything in it, whole blocks that begin at a page. */
  take(): SharedArrayBuffer {
    return this.#free.pop() ?? alignedSharedMemory(this.#pieceBytes);
  }

  /** Safe while: no thread writes to it, and nobody looks at it any more. */
  giveBack(piece: SharedArrayBuffer): void {
    if (this.#free.length < this.streamPieces) this.#free.push(piece);
  }
}
