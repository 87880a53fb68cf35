/**
 * Reads that begin anew when a disk does not answer.
 *
 * That disk is then asked only for what no other one has, even when it answers again: one that hangs ever
 * anew would cost its whole time each time. So there are as many tries as disks at most, and one more.
 */

import { GivenUpError } from '../worker-pool.js';

/** Of one command, or one stream: what its reads have learned of disks. */
export class ReadTries {
  /** Files of disks that were given up. */
  readonly #avoided = new Set<string>();

  /**
   * @param read one try, with destinations of its own: a thread may still write to those of the one before.
   * @throws what `read` does; a GivenUpError for a disk that was asked although it had been given up.
   */
  async untilAnswered<T>(read: (avoided: ReadonlySet<string>) => Promise<T>): Promise<T> {
    for (;;) {
      const known = new Set(this.#avoided);
      try {
        return await this.once(read);
      } catch (cause) {
        if (!(cause instanceof GivenUpError) || known.has(cause.path)) throw cause;
      }
    }
  }

  /** One try; others of the same command learn from it, too. */
  async once<T>(read: (avoided: ReadonlySet<string>) => Promise<T>): Promise<T> {
    try {
      return await read(new Set(this.#avoided));
    } catch (cause) {
      if (cause instanceof GivenUpError) this.#avoided.add(cause.path);
      throw cause;
    }
  }
}
