/**
 * Memory for content that a program hands over: it is copied once, here, and the threads hash and
 * write it where it lies.
 *
 * Memory of WebAssembly is the only memory of Node that is both shared between threads and aligned
 * to pages, as O_DIRECT wants it.
 */

const WASM_PAGE_BYTES = 65_536;

/** Types of Node know its name only; those of browsers have it all. */
declare const WebAssembly: {
  readonly Memory: new (size: {
    initial: number;
    maximum: number;
    shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
};

export class StreamMemory {
  readonly #pieceBytes: number;
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((piece: Uint8Array) => void)[] = [];

  /** @param pieceBytes a multiple of 4096. */
  constructor(pieceBytes: number, pieceCount: number) {
    this.#pieceBytes = pieceBytes;
    const pages = Math.ceil((pieceBytes * pieceCount) / WASM_PAGE_BYTES);
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    for (let index = 0; index < pieceCount; index += 1) {
      this.#free.push(new Uint8Array(buffer, index * pieceBytes, pieceBytes));
    }
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
