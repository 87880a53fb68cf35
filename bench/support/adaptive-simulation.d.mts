import type { chooseHour, learned, UNKNOWN_HOUR } from '../../src/domain/adaptive.js';

export interface SimulationSum {
  /** Hours of a device that we used while others wanted it. */
  readonly interferenceHours: number;
  readonly fragmentedHours: number;
  readonly writtenGib: number;
  readonly runCount: number;
  readonly workHours: number;
}

/** Foreground load, 0 to 1, by hour of the week. */
export declare const TRACES: Readonly<Record<string, (hourOfWeek: number) => number>>;

export declare function simulate(
  adaptive: {
    readonly chooseHour: typeof chooseHour;
    readonly learned: typeof learned;
    readonly UNKNOWN_HOUR: typeof UNKNOWN_HOUR;
  },
  load: (hourOfWeek: number) => number,
  isAdaptive: boolean,
): SimulationSum;
