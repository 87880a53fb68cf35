/** Intensity of background rewriting, and the rate that the queue enforces for it. Pure. */

export const INTENSITIES = ['low', 'medium', 'high'] as const;
export type Intensity = (typeof INTENSITIES)[number];

interface IntensityPlan {
  readonly extentsPerBatch: number;
  /** Share of time that one extent may claim: the queue starts no batch sooner than this allows. */
  readonly pausePerExtentMs: number;
}

export const INTENSITY_PLANS: Readonly<Record<Intensity, IntensityPlan>> = {
  low: { extentsPerBatch: 1, pausePerExtentMs: 100 },
  medium: { extentsPerBatch: 5, pausePerExtentMs: 50 },
  high: { extentsPerBatch: 10, pausePerExtentMs: 10 },
};

export const DEFRAG_PASS_EVERY_MS = 60_000;
/** After a pass that could move nothing, wait longer before free space is searched again. */
export const FUTILE_PASS_WAIT_MS = 10 * DEFRAG_PASS_EVERY_MS;

export const THREADS_MAX = 64;

/** @returns the least time from the start of one batch to the start of the next. */
export function batchIntervalMs(intensity: Intensity): number {
  const plan = INTENSITY_PLANS[intensity];
  return plan.extentsPerBatch * plan.pausePerExtentMs;
}
