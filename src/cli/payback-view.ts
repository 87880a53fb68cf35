/** Whether moving data pays on a pool, for people and as data. */

import * as z from 'zod';
import { type PaybackVerdict, VERDICT_TEXTS } from '../domain/payback.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { paybackVerdict } from '../pool/payback.js';
import { bytes, count, timeMs } from './schema-parts.js';

export const PaybackOutput = z.strictObject({
  verdict: z.enum(['pays', 'does-not-pay', 'unknown']),
  text: z.string(),
  media: z.enum(['rotational', 'solid-state', 'unknown']),
  /** Measured runs that the figures are of. */
  runCount: count,
  /** Share of the reading time that was saved; null while it is not known, as all below. */
  gainRatio: z.number().nullable(),
  rewrittenBytes: bytes,
  savedMsPerGib: z.number().nullable(),
  /** Null also for never. */
  readsToWinBack: count.nullable(),
  /** No trigger moves anything before; null when nothing holds it back. */
  backsOffUntilMs: timeMs.nullable(),
});

export function paybackView({ context }: MaintainedPool): z.infer<typeof PaybackOutput> {
  return paybackVerdict(context);
}

export function paybackLines(view: PaybackVerdict): string[] {
  const { verdict, text, backsOffUntilMs } = view;
  const lines = [`  Payback: ${VERDICT_TEXTS[verdict]}: ${text}`];
  if (backsOffUntilMs !== null) {
    const until = new Date(backsOffUntilMs).toISOString().slice(0, 16).replace('T', ' ');
    lines.push(`    Triggers move nothing before ${until} UTC, unless it is twice as fragmented`);
  }
  return lines;
}
