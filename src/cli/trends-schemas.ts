/** Output of `reclamation trends`. */

import * as z from 'zod';
import { PaybackOutput } from './payback-view.js';
import { bytes, ratio, timeMs, versioned } from './schema-parts.js';

const ForecastOutput = z.strictObject({
  threshold: z.number().nonnegative(),
  /** Null where it is not known. */
  measured: ratio.nullable(),
  state: z.enum(['passed', 'passes', 'not-foreseen', 'too-little-data']),
  /** When it will pass, at the growth of the last weeks; null in all other states. */
  atMs: timeMs.nullable(),
  /** Growth of the ratio in a day; null where there is too little data. */
  perDay: z.number().nullable(),
});

const PointOutput = z.strictObject({
  startMs: timeMs,
  rewrittenBytes: bytes,
  reclaimedBytes: bytes,
  /** The last of the hour or day; null where nobody looked. */
  figures: z
    .strictObject({
      capacityBytes: bytes,
      usedBytes: bytes,
      freeBytes: bytes,
      pendingBytes: bytes,
      /** Null before the first analysis. */
      fragmentationRatio: ratio.nullable(),
      /** When it was measured: on a mount that may be long ago. */
      analyzedAtMs: timeMs.nullable(),
    })
    .nullable(),
});

export const TrendsOutput = z.strictObject({
  ...versioned,
  span: z.enum(['hour', 'day']),
  fromMs: timeMs,
  toMs: timeMs,
  /** Those in which anything was recorded. */
  points: z.array(PointOutput),
  /** Since 00:00 UTC; what a wear budget counts. */
  rewrittenTodayBytes: bytes,
  payback: PaybackOutput,
  forecasts: z.strictObject({ capacity: ForecastOutput, fragmentation: ForecastOutput }),
});

export type TrendsView = z.infer<typeof TrendsOutput>;
