/** The content of one object as a stream, or that of one extent. */

import { MaintenanceError } from '../../domain/errors.js';
import type { ExtentRow } from '../../store/extents.js';
import type { ObjectRow } from '../../store/objects.js';
import { whenEnded } from '../worker-pool.js';
import type { PoolContext } from './context.js';
import { readVerified, recordReads } from './read.js';
import { ReadTries } from './read-tries.js';
import { objectNotFound } from './remove.js';

export interface ReadOptions {
  /**
   * Each piece lies in memory that a later one is read into: it is valid until the next is asked for
   * or the stream ends. Faster than the default, by which each has memory of its own. The memory is
   * shared with threads, which a few interfaces (`TextDecoder` in browsers, for one) do not take.
   */
  readonly reuseMemory?: boolean;
}

/**
 * Yields the content of a file in order, extent by extent, each verified before anybody sees it.
 *
 * Holds a few extents, however long the object is. A consumer that stops early stops the reading.
 *
 * @throws as `readVerified`, when the stream comes to what cannot be read.
 */
export async function* readObject(
  context: PoolContext,
  name: string,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const object = fileNamed(context, name);
  const extents = context.store.extents.ofObject(object.objectId);
  const stream = new ExtentStream(context, extents);
  try {
    for (let piece = await stream.next(); piece; piece = await stream.next()) {
      if (options.reuseMemory) {
        yield piece.bytes;
        stream.recycle(piece.memory);
      } else {
        const own = ownCopy(piece.bytes);
        stream.recycle(piece.memory);
        yield own;
      }
    }
    recordReads(context, extents, object.sizeBytes);
  } finally {
    await stream.end();
  }
}

/** @returns the content of one extent, in memory of its own. @throws as `readVerified`. */
export async function readOneExtent(context: PoolContext, extent: ExtentRow): Promise<Uint8Array> {
  const stream = new ExtentStream(context, [extent]);
  try {
    const piece = await stream.next();
    recordReads(context, [extent], extent.sizeBytes);
    return piece ? ownCopy(piece.bytes) : new Uint8Array();
  } finally {
    await stream.end();
  }
}

interface Piece {
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array;
}

/** Reads extents in order, ahead of who uses them, into as many pieces of memory as a stream has. */
class ExtentStream {
  readonly #context: PoolContext;
  readonly #extents: readonly ExtentRow[];
  readonly #tries = new ReadTries();
  readonly #readings: Promise<Piece>[] = [];
  /** Handed out, and not given back yet. */
  #used: SharedArrayBuffer | null = null;
  #begunCount = 0;

  constructor(context: PoolContext, extents: readonly ExtentRow[]) {
    this.#context = context;
    this.#extents = extents;
    const pieceCount = Math.min(context.readMemory.streamPieces, extents.length);
    for (let n = 0; n < pieceCount; n += 1) this.#read(context.readMemory.take());
  }

  /** @returns the next extent when it was verified; null behind the last. */
  async next(): Promise<Piece | null> {
    const piece = await this.#readings[0];
    if (!piece) return null;
    this.#readings.shift();
    this.#used = piece.memory;
    return piece;
  }

  /** Reads on into memory that nobody looks at any more. */
  recycle(memory: SharedArrayBuffer): void {
    this.#used = null;
    this.#read(memory);
  }

  /** Waits for the threads, then lets others have the memory. */
  async end(): Promise<void> {
    const { readMemory } = this.#context;
    for (const reading of this.#readings.splice(0)) {
      await reading.then(({ memory }) => readMemory.giveBack(memory)).catch(() => {});
    }
    if (this.#used) readMemory.giveBack(this.#used);
  }

  #read(memory: SharedArrayBuffer): void {
    const extent = this.#extents[this.#begunCount];
    if (!extent) {
      this.#context.readMemory.giveBack(memory);
      return;
    }
    this.#begunCount += 1;
    const reading = this.#readInto(memory, extent);
    // Handled where it is awaited; until then a failure must not count as unhandled.
    reading.catch(() => {});
    this.#readings.push(reading);
  }

  #readInto(memory: SharedArrayBuffer, extent: ExtentRow): Promise<Piece> {
    const { readMemory } = this.#context;
    let next: SharedArrayBuffer | null = memory;
    return this.#tries.untilAnswered(async (avoided) => {
      const own = next ?? readMemory.take();
      next = null;
      try {
        const destination = { kind: 'memory', memory: own } as const;
        await readVerified(this.#context, [{ extent, destination }], avoided);
        return { memory: own, bytes: new Uint8Array(own, 0, extent.sizeBytes) };
      } catch (cause) {
        // A thread that waits for a disk that hangs may still write to it.
        whenEnded(cause, () => readMemory.giveBack(own));
        throw cause;
      }
    });
  }
}

function ownCopy(bytes: Uint8Array): Uint8Array {
  // Not zeroed, since all of it is written; not from Buffer's pool, which others see.
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

function fileNamed(context: PoolContext, name: string): ObjectRow {
  const object = context.store.objects.byName(name);
  if (!object) throw objectNotFound(context, name);
  if (object.kind === 'file') return object;
  throw new MaintenanceError('ERR_USAGE', `${name} is a ${object.kind}, not a file`, {
    nextStep: 'Get it into a directory instead.',
  });
}
