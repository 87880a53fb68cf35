/**
 * Chooses and reserves space on a disk. The choice is here, the index in src/store/space.ts.
 *
 * The smallest run that fits is taken, so that large runs stay large. Where none fits the content is
 * split over the largest runs: as few pieces as the free space allows.
 */

import { InvariantError } from '../../domain/errors.js';
import { type ByteRun, joinTouching, totalBytes } from '../../domain/units.js';
import type { DiskRow } from '../../store/disks.js';
import type { SpaceRun, SpaceStore, Zone } from '../../store/space.js';
import { FRAGMENTS_MAX } from './layout.js';

/** Runs looked at together for an extent that must be split; twice as many where they are too short. */
const LOOK_AT_FIRST = 32;

export class Allocator {
  readonly #space: SpaceStore;

  constructor(space: SpaceStore) {
    this.#space = space;
  }

  /** Free and pending bytes that new data may take: all but the disk's reserve. */
  usableBytes(disk: DiskRow): number {
    return this.#space.usableBytes(disk.diskId);
  }

  /**
   * Reserves one contiguous run. Safe while: in a transaction.
   *
   * @returns null when no run is that long; then nothing was reserved.
   */
  reserveContiguous(
    diskId: number,
    lengthBytes: number,
    owner: string,
    zone: Zone = 'general',
  ): ByteRun | null {
    const fit = this.#space.bestFit(diskId, lengthBytes, zone);
    return fit && this.#space.reserve(fit, lengthBytes, owner);
  }

  /**
   * Reserves one run, or else up to `fragmentsMax` pieces. Safe while: in a transaction.
   *
   * @returns runs in the order of the content, or null; then nothing was reserved.
   */
  reserve(
    diskId: number,
    lengthBytes: number,
    owner: string,
    fragmentsMax = FRAGMENTS_MAX,
  ): ByteRun[] | null {
    const whole = this.reserveContiguous(diskId, lengthBytes, owner);
    if (whole) return [whole];

    const chosen = this.#chooseLargest(diskId, lengthBytes, fragmentsMax);
    const last = chosen.pop();
    if (!last) return null;
    const restBytes = lengthBytes - totalBytes(chosen);
    const runs = this.#space.reserveLargest(chosen, owner);
    runs.push(this.#space.reserve(last, restBytes, owner));
    runs.sort((a, b) => a.startBytes - b.startBytes);
    if (totalBytes(runs) !== lengthBytes) throw new InvariantError('pieces do not add up');
    // A free run beside a pending one makes one fragment; the reservations stay two rows.
    return joinTouching(runs);
  }

  /** @returns as many of the longest runs as hold that length; none when `countMax` do not. */
  #chooseLargest(diskId: number, lengthBytes: number, countMax: number): SpaceRun[] {
    for (let count = LOOK_AT_FIRST; ; count *= 2) {
      const runs = this.#space.largestRuns(diskId, Math.min(count, countMax));
      let bytes = 0;
      const enough = runs.findIndex((run) => {
        bytes += run.lengthBytes;
        return bytes >= lengthBytes;
      });
      if (enough >= 0) return runs.slice(0, enough + 1);
      if (runs.length < count) return [];
    }
  }
}
