/** Pauses a run or a reclamation on somebody's behalf, and says who and why. */

import type { LedgerEvent } from '../domain/ledger.js';
import {
  isFromOtherBoot,
  type PauseRequest,
  type PauseSubject,
  remainingMs,
} from '../domain/pauses.js';
import { bootTime } from '../kernel/boot-time.js';
import type { MaintenanceContext } from './maintained-pool.js';

/** Safe while: in a transaction in which it was paused. */
export function notePause(
  { store, clock }: MaintenanceContext,
  subject: PauseSubject,
  { reason, forMs }: PauseRequest,
): void {
  const nowMs = clock();
  store.pauses.set(subject, {
    ...{ actor: store.ledger.actor, reason, pausedAtMs: nowMs },
    hold: forMs === null ? null : { remainingMs: forMs, asOf: { nowMs, boot: bootTime() } },
  });
  const event: LedgerEvent = subject.kind === 'run' ? 'run-paused' : 'reclamation-paused';
  const [runId, reclamationId, kind] =
    subject.kind === 'run'
      ? [subject.id, store.reclamations.ofRun(subject.id), store.runs.get(subject.id)?.kind]
      : [null, subject.id];
  const until = forMs === null ? {} : { forMs, untilMs: nowMs + forMs };
  store.ledger.append({
    ...{ atMs: nowMs, event, reason, runId, reclamationId },
    figures: { kind, ...until },
  });
}

/** Of something that is paused: who, why and until when, as far as that is known. */
export interface PauseView {
  readonly actor: string;
  readonly reason: string | null;
  readonly pausedAtMs: number;
  /** By the clock on the wall as it is now. */
  readonly untilMs: number | null;
}

/** @returns null for what is not paused, and for pauses from before they were noted. */
export function pauseOf(
  { store, clock }: MaintenanceContext,
  subject: PauseSubject,
): PauseView | null {
  const row = store.pauses.of(subject);
  if (!row) return null;
  const { actor, reason, pausedAtMs, hold } = row;
  const now = { nowMs: clock(), boot: bootTime() };
  const untilMs = hold && Math.round(now.nowMs + Math.max(0, remainingMs(hold, now)));
  return { actor, reason, pausedAtMs, untilMs };
}

/** As `pauseOf`; a run of a reclamation may be paused with it. */
export function pauseOfRun(context: MaintenanceContext, runId: number): PauseView | null {
  const own = pauseOf(context, { kind: 'run', id: runId });
  const reclamationId = own ? null : context.store.reclamations.ofRun(runId);
  return reclamationId === null
    ? own
    : pauseOf(context, { kind: 'reclamation', id: reclamationId });
}

/** Of the pauses that end by themselves those that are over; what is left of the others is noted. */
export function overduePauses(
  { store, clock }: MaintenanceContext,
  boot: ReturnType<typeof bootTime>,
): { subject: PauseSubject; reason: string }[] {
  const now = { nowMs: clock(), boot };
  const over: { subject: PauseSubject; reason: string }[] = [];
  for (const { subject, actor, hold } of store.pauses.timed()) {
    const leftMs = remainingMs(hold, now);
    if (leftMs <= 0) over.push({ subject, reason: `the pause by ${actor} is over` });
    else if (isFromOtherBoot(hold, now)) {
      store.pauses.setHold(subject, { remainingMs: leftMs, asOf: now });
    }
  }
  return over;
}
