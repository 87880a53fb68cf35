/**
 * Whether Btrfs has a better place for a piece, which it does not tell before it has written it.
 *
 * Other groups take from the same space meanwhile: there must be room for a piece as large in each.
 */

import type { FreeSpaceReport } from '../src/domain/file-scan.js';
import { TARGET_FRAGMENT_BYTES } from '../src/domain/fragmentation.js';
import type { Piece } from '../src/domain/move-plan.js';
import { MOVE_GROUP_BYTES_MAX, type PrepareMovesTask } from '../src/domain/move-tasks.js';
import {
  forecastFragments,
  isGoodForecast,
  isInManyFragments,
} from '../src/domain/place-forecast.js';
import { KernelCallError } from '../src/kernel/kernel-error.js';
import { scanFreeSpace } from '../src/kernel/scan.js';

/** As many as two threads have under way. */
const GROUPS_SIDE_BY_SIDE = 4;
/** Reading takes at most 1/20 of the time. */
const KEPT_PER_READ = 20;

interface Reading {
  readonly free: FreeSpaceReport | null;
  readonly untilMs: number;
}
/** Of this thread, by the device number of the mount. */
const readings = new Map<number, Reading>();

export class SpaceForecast {
  readonly #task: PrepareMovesTask;

  constructor(task: PrepareMovesTask) {
    this.#task = task;
  }

  hasPlaceFor(piece: Piece): boolean {
    if (!isInManyFragments(piece)) return true;
    const { placeTry } = this.#task;
    const isAlone = placeTry > 0;
    const free = isAlone ? this.#read() : this.#readNowAndThen();
    // Not told: found out by moving.
    if (free === null) return true;
    const wantedBytes = piece.allocatedBytes * (isAlone ? 1 : GROUPS_SIDE_BY_SIDE);
    return isGoodForecast(piece, forecastFragments(free, wantedBytes), placeTry);
  }

  /**
   * Whether a piece as large as this one in each of all groups side by side would lie in fragments
   * that count as whole, so that none can end in a worse place than it left.
   */
  isAmpleFor(pieceBytes: number): boolean {
    const free = this.#task.placeTry > 0 ? this.#read() : this.#readNowAndThen();
    if (free === null) return false;
    const wantedBytes = GROUPS_SIDE_BY_SIDE * Math.max(pieceBytes, MOVE_GROUP_BYTES_MAX);
    return forecastFragments(free, wantedBytes) <= wantedBytes / TARGET_FRAGMENT_BYTES;
  }

  #readNowAndThen(): FreeSpaceReport | null {
    const { deviceNumber } = this.#task;
    const kept = readings.get(deviceNumber);
    if (kept && performance.now() < kept.untilMs) return kept.free;
    const startedAtMs = performance.now();
    const free = this.#read();
    const endedAtMs = performance.now();
    const untilMs = endedAtMs + (endedAtMs - startedAtMs) * KEPT_PER_READ;
    readings.set(deviceNumber, { free, untilMs });
    return free;
  }

  #read(): FreeSpaceReport | null {
    const { mountPath, fsType } = this.#task;
    try {
      return scanFreeSpace({ mountPath, fsType, devicePaths: [], mapCellCount: 0 });
    } catch (cause) {
      if (cause instanceof KernelCallError) return null;
      throw cause;
    }
  }
}
