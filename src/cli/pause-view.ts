/** How a pause is shown. */

import * as z from 'zod';
import type { PauseView } from '../pool/pauses.js';
import { printable } from './printable.js';

export const PauseOutput = z.strictObject({
  actor: z.string(),
  reason: z.string().nullable(),
  pausedAtMs: z.number().nonnegative(),
  /** When it goes on by itself; null: when somebody resumes it. */
  untilMs: z.number().nonnegative().nullable(),
});

/** @returns no line for what is not paused, or is since before it was noted by whom. */
export function pauseLines(pause: PauseView | null): string[] {
  if (!pause) return [];
  const { actor, reason, pausedAtMs, untilMs } = pause;
  const until = untilMs === null ? '' : `, until ${timeText(untilMs)}`;
  const why = reason === null ? '' : `: ${printable(reason)}`;
  return [`  Paused by ${printable(actor)} at ${timeText(pausedAtMs)}${until}${why}`];
}

function timeText(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
