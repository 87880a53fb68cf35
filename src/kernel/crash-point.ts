/**
 * Places where a test can cut the power: between two steps of a protocol that must survive it.
 *
 * `DYNAMICFS_CRASH_AT=rewrite-written` kills the process the first time that point is reached,
 * `rewrite-written:3` the third time in the same thread. Nobody else sets the variable.
 */

import { MaintenanceError } from '../domain/errors.js';

/**
 * In the order of the protocols: rewrite an extent, discard what is free, store an object, write a journal anew, move a file,
 * trim a mount. */
export const CRASH_POINTS = [
  'rewrite-reserved',
  'rewrite-read',
  'rewrite-written',
  'rewrite-synced',
  'rewrite-verified',
  'rewrite-before-swap',
  'rewrite-journaled',
  'rewrite-swapped',
  'discard-marked',
  'discard-erased',
  'discard-punched',
  'discard-confirmed',
  'discard-freed',
  'put-reserved',
  'put-written',
  'put-journaled',
  'put-committed',
  'journal-renewed',
  'move-prepared',
  'move-window',
  'move-moved',
  'move-synced',
  'move-verified',
  'move-settled',
  'trim-window-stored',
] as const;

export type CrashPointName = (typeof CRASH_POINTS)[number];

interface ArmedCrash {
  readonly name: string;
  passesLeft: number;
}

const armed = readArmedCrash(process.env.DYNAMICFS_CRASH_AT);

/** Kills the process with SIGKILL when the test asked for it here; else costs a comparison. */
export function crashPoint(name: CrashPointName): void {
  if (armed === null || armed.name !== name) return;
  armed.passesLeft -= 1;
  if (armed.passesLeft > 0) return;
  process.kill(process.pid, 'SIGKILL');
  // The signal may arrive a moment later; nothing may run in that moment.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** @throws MaintenanceError ERR_USAGE: a misspelt point would let a crash test pass untested. */
function readArmedCrash(setting: string | undefined): ArmedCrash | null {
  if (setting === undefined || setting === '') return null;
  const [name, passes = '1'] = setting.split(':');
  const known = CRASH_POINTS.find((point) => point === name);
  if (known === undefined || !/^[1-9]\d*$/.test(passes)) {
    throw new MaintenanceError('ERR_USAGE', `DYNAMICFS_CRASH_AT has no such point: ${setting}`, {
      nextStep: `Use one of ${CRASH_POINTS.join(', ')}, with :n behind it for the n-th pass.`,
    });
  }
  return { name: known, passesLeft: Number(passes) };
}
