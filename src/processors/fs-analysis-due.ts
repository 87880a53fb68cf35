/** Whether a tick measures a mount, so that its policy knows how fragmented it is. */

import { quietUntilMs } from '../domain/quiet-hours.js';
import { windowState } from '../pool/cron-window.js';
import type { FsPoolContext } from '../pool/fs-pool/context.js';

const HOUR_MS = 60 * 60 * 1000;
const EVERY_MS = 6 * HOUR_MS;
/** Sooner after files were moved, since then the figures of before say nothing. */
const AFTER_MOVES_MS = HOUR_MS;
/** An analysis takes no more of the time than this, whatever it costs here. */
const TIME_SHARE_MAX = 0.01;

/**
 * Not while nothing would follow from it: the policy is off, defragments no tier, or is held by its
 * windows or quiet hours; and not beside runs, which change what is measured.
 */
export function wantsAnalysis(context: FsPoolContext): boolean {
  const { store, clock } = context;
  const { enabled, tiers, windows, quietHours } = store.policies.effective();
  const nowMs = clock();
  const isHeld =
    quietUntilMs(quietHours, nowMs) !== null ||
    (windows.length > 0 && windowState(windows, nowMs).openUntilMs === null);
  const defragments = Object.values(tiers).some(({ defrag }) => defrag.enabled);
  if (!enabled || !defragments || isHeld || store.reclamations.open()) return false;
  if (store.runs.openRuns().length > 0 || !context.findMount()) return false;
  const { lastAnalysis, createdAtMs } = context.settings();
  if (!lastAnalysis) return nowMs - createdAtMs >= AFTER_MOVES_MS || nowMs < createdAtMs;
  const moved = store.runs.last('defrag');
  const hasMoved =
    (moved?.progress.doneCount ?? 0) > 0 && (moved?.endedAtMs ?? 0) > lastAnalysis.analyzedAtMs;
  const everyMs = Math.max(
    hasMoved ? AFTER_MOVES_MS : EVERY_MS,
    lastAnalysis.durationMs / TIME_SHARE_MAX,
  );
  const ageMs = nowMs - lastAnalysis.analyzedAtMs;
  return ageMs >= everyMs || ageMs < 0;
}
