/**
 * Files that found no place while others held space, and are tried again one by one. Pure.
 *
 * Who takes a bad place early leaves a good one to others, but keeps its own: so all are tried for a
 * whole place first, then for one in few fragments, and any better place is taken only at the last.
 * Who took a bad one is moved once more at the end, if there is a good one then.
 */

import { LAST_PLACE_TRY, SECOND_MOVE_TRY } from './place-forecast.js';

/** With more files waiting each is tried once, as a try costs a flush of the file system. */
const PATIENT_FILES_MAX = 256;

export interface PlaceTry<T> {
  readonly file: T;
  /** From 1 to SECOND_MOVE_TRY. */
  readonly placeTry: number;
}

export class PlaceQueue<T> {
  readonly #byTry = new Map<number, T[]>();
  #count = 0;

  /** @param placeTry that found no place, or at last a bad one. */
  put(files: readonly T[], placeTry: number): void {
    for (const file of files) {
      const soonest = this.#count < PATIENT_FILES_MAX ? 0 : LAST_PLACE_TRY;
      const next = Math.max(placeTry + 1, soonest);
      this.#count += 1;
      this.#of(next).push(file);
    }
  }

  take(): PlaceTry<T> | null {
    for (let placeTry = 1; placeTry <= SECOND_MOVE_TRY; placeTry += 1) {
      const file = this.#of(placeTry).shift();
      if (file === undefined) continue;
      this.#count -= 1;
      return { file, placeTry };
    }
    return null;
  }

  files(): T[] {
    return [...this.#byTry.values()].flat();
  }

  #of(placeTry: number): T[] {
    const files = this.#byTry.get(placeTry) ?? [];
    this.#byTry.set(placeTry, files);
    return files;
  }
}
