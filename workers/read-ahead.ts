/** Asks the page cache for what a task reads next, where the kernel would not come to it by itself. */

import type { ReadExtent } from '../src/domain/tasks.js';
import { type ByteRun, MIB } from '../src/domain/units.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { kernelReadAheadBytes, readAhead } from '../src/kernel/page-cache.js';
import type { DiskFiles } from './replica-io.js';

/** What a disk is kept busy with while a thread hashes. */
const AHEAD_BYTES = 16 * MIB;
/**
 * From this on the kernel's own reading ahead keeps the disk busy, and is better left alone: it
 * fills the cache with large folios, an advice with single pages, which cost a third of the speed.
 */
const KERNEL_AHEAD_BYTES = MIB;

export class AheadOf {
  readonly #extents: readonly ReadExtent[];
  readonly #disks: DiskFiles;
  readonly #lastEndBytes = new Map<string, number>();
  #askedCount = 0;
  #aheadBytes = 0;

  constructor(extents: readonly ReadExtent[], disks: DiskFiles) {
    this.#extents = extents;
    this.#disks = disks;
  }

  /** Called before `extent`, the next of the task, is read. */
  next(extent: ReadExtent): void {
    while (this.#aheadBytes < AHEAD_BYTES) {
      const next = this.#extents[this.#askedCount];
      if (!next) break;
      this.#ask(next);
      this.#aheadBytes += next.sizeBytes;
      this.#askedCount += 1;
    }
    this.#aheadBytes -= extent.sizeBytes;
  }

  #ask({ replicas: [first] }: ReadExtent): void {
    if (!first) return;
    try {
      const { file } = this.#disks.open(first.path, 'read', false);
      const isEager = kernelReadAheadBytes(file) >= KERNEL_AHEAD_BYTES;
      for (const run of first.runs) {
        if (!(isEager && this.#isLongSweep(file, run))) readAhead(file, run);
        this.#lastEndBytes.set(file.path, run.startBytes + run.lengthBytes);
      }
    } catch {
      // Reading it says what is wrong, and takes another replica.
    }
  }

  /** Whether the kernel sees where reading goes on: from the run before, or for long in this one. */
  #isLongSweep(file: OpenFile, run: ByteRun): boolean {
    return (
      run.lengthBytes >= KERNEL_AHEAD_BYTES || this.#lastEndBytes.get(file.path) === run.startBytes
    );
  }
}
