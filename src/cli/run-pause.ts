/** Pauses and resumes the open run of a kind, for a person: who, why and for how long is kept. */

import { Flags } from '@oclif/core';
import { parseDurationMs } from '../domain/durations.js';
import { MaintenanceError } from '../domain/errors.js';
import { type PauseRequest, PLAIN_PAUSE } from '../domain/pauses.js';
import type { Run } from '../domain/runs.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { notePause } from '../pool/pauses.js';

/** It is kept for good. */
const REASON_CHARS_MAX = 500;

/** Of every command that pauses something. */
export const pauseFlags = {
  reason: Flags.string({
    summary: 'Why, for others: shown by the status, kept in the ledger.',
    helpValue: 'TEXT',
    parse: async (text) => {
      if (text.length <= REASON_CHARS_MAX) return text;
      throw new MaintenanceError(
        'ERR_USAGE',
        `a reason has at most ${REASON_CHARS_MAX} characters`,
        {
          nextStep: 'Say it in fewer words.',
        },
      );
    },
  }),
  for: Flags.string({
    summary: 'Go on by itself after so long.',
    helpValue: '2h',
  }),
};

/** @throws MaintenanceError ERR_USAGE for what is no duration. */
export function pauseRequest(flags: {
  readonly reason?: string | undefined;
  readonly for?: string | undefined;
}): PauseRequest {
  const forMs = flags.for === undefined ? null : parseDurationMs(flags.for);
  return { reason: flags.reason ?? null, forMs };
}

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when no run is open. */
export function setDefragPaused(
  pool: MaintainedPool,
  paused: boolean,
  request: PauseRequest = PLAIN_PAUSE,
): Run {
  return setPaused(pool, 'defrag', paused, request);
}

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when no trim is open. */
export function setTrimPaused(
  pool: MaintainedPool,
  paused: boolean,
  request: PauseRequest = PLAIN_PAUSE,
): Run {
  return setPaused(pool, 'trim', paused, request);
}

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when no scrub is open. */
export function setScrubPaused(
  pool: MaintainedPool,
  paused: boolean,
  request: PauseRequest = PLAIN_PAUSE,
): Run {
  return setPaused(pool, 'scrub', paused, request);
}

const NAMES = {
  defrag: ['defragmentation', 'defrag start'],
  trim: ['trim', 'trim now'],
  scrub: ['scrub', 'scrub start'],
} as const;

function setPaused(
  { context, path }: MaintainedPool,
  kind: keyof typeof NAMES,
  paused: boolean,
  request: PauseRequest,
): Run {
  const { store, clock } = context;
  return store.transaction(() => {
    const open = store.runs.open(kind);
    if (!open) {
      const [what, start] = NAMES[kind];
      throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `no ${what} runs on ${path}`, {
        nextStep: `Start one with \`dynamicfs ${start}\`.`,
      });
    }
    if (paused) {
      store.runs.pause(open.runId);
      // Also of one that is paused already: somebody has another reason, or more time.
      notePause(context, { kind: 'run', id: open.runId }, request);
    } else store.runs.setState(open.runId, 'running', clock());
    return store.runs.get(open.runId) ?? open;
  });
}
