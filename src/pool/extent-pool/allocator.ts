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

/** Large runs are looked up together: one by one, the look-ups would cost more than the taking. */
const PIECES_AT_A_TIME = 16;

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

    const pieces: { from: SpaceRun; run: ByteRun }[] = [];
    let leftBytes = lengthBytes;
    while (leftBytes > 0 && pieces.length < fragmentsMax) {
      const wantedCount = Math.min(PIECES_AT_A_TIME, fragmentsMax - pieces.length);
      const largest = this.#space.largestRuns(diskId, wantedCount);
      if (largest.length === 0) break;
      for (const from of largest) {
        if (leftBytes === 0) break;
        const run = this.#space.reserve(from, Math.min(from.lengthBytes, leftBytes), owner);
        pieces.push({ from, run });
        leftBytes -= run.lengthBytes;
      }
    }
    if (leftBytes > 0) {
      for (const { from, run } of pieces) this.#giveBack(from, run);
      return null;
    }
    const runs = pieces.map((piece) => piece.run).sort((a, b) => a.startBytes - b.startBytes);
    if (totalBytes(runs) !== lengthBytes) throw new InvariantError('pieces do not add up');
    // A free run beside a pending one makes one fragment; the reservations stay two rows.
    return joinTouching(runs);
  }

  #giveBack(from: SpaceRun, run: ByteRun): void {
    if (from.state !== 'free' && from.state !== 'pending') {
      throw new InvariantError(`reserved from a run that is ${from.state}`);
    }
    this.#space.remove(from.diskId, run.startBytes);
    this.#space.add(from.diskId, run, from.state);
  }
}
