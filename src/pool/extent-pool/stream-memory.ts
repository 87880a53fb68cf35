/**
 * Memory for content that a program hands over: it is copied once, here, and the threads hash and
 * write it where it lies.
 */

import { alignedSharedMemory } from '../../kernel/shared-memory.js';

export class StreamMemory {
  readonly #pieceBytes: number;
  readonly #pieceCount: number;
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((piece: Uint8Array) => void)[] = [];

  /** @param pieceBytes a multiple of 4096. */
  constructor(pieceBytes: number, pieceCount: number) {
    this.#pieceBytes = pieceBytes;
    this.#pieceCount = pieceCount;
    const buffer = alignedSharedMemory(pieceBytes * pieceCount);
    for (let index = 0; index < pieceCount; index += 1) {
      this.#free.push(new Uint8Array(buffer, index * pieceBytes, pieceBytes));
    }
  }

  /** Nothing of it is in use. */
  get isWhole(): boolean {
    return this.#free.length === this.#pieceCount;
  }

  /** Waits until there is one. @returns a piece with anything in it. */
  async take(): Promise<Uint8Array> {
    const piece = this.#free.pop();
    return piece ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }

  /** @param data any part of a piece, at its beginning. Safe while: no thread reads it any more. */
  giveBack(data: Uint8Array): void {
    const piece = new Uint8Array(data.buffer, data.byteOffset, this.#pieceBytes);
    const next = this.#waiting.shift();
    if (next) next(piece);
    else this.#free.push(piece);
  }
}

/** As threads without work do, it goes after a while. */
const SPARE_MS = 5_000;

/**
 * Keeps the memory of one stream for the next: memory that is new costs more than to copy, hash and
 * write what is put into it.
 */
export class SpareMemory {
  #spare: StreamMemory | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** Always with the same arguments. */
  take(pieceBytes: number, pieceCount: number): StreamMemory {
    const spare = this.#spare;
    this.#forget();
    return spare ?? new StreamMemory(pieceBytes, pieceCount);
  }

  /** Safe while: nobody uses any of it any more. */
  giveBack(memory: StreamMemory): void {
    this.#forget();
    if (!memory.isWhole) return;
    this.#spare = memory;
    this.#timer = setTimeout(() => this.#forget(), SPARE_MS).unref();
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#spare = null;
  }
}
