/** Has what a group moved written, and finds out where it lies. */

import { fsyncSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { MovableFileSystem } from '../src/domain/move-tasks.js';
import { ext4HasJournal } from '../src/kernel/ext4-journal.js';
import { flushAndMapFiles } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';
import type { Pace } from './move-pace.js';
import { isOpen, isTouched, type Moving, type OpenMoving, unanswered } from './moving.js';

interface FlushedMount {
  readonly mount: OpenFile;
  readonly fsType: MovableFileSystem;
  readonly pace: Pace;
}

/**
 * Asks each file whether all of what was moved was written, then has the journal write the moves.
 *
 * The journal is one for all files, so a flush of the last one serves the group. Btrfs needs none:
 * it frees the old blocks in the transaction that records the new ones.
 */
export function flushMoves(
  { mount, fsType, pace }: FlushedMount,
  movings: readonly Moving[],
): void {
  const moved = movings.filter(isTouched).filter(isOpen);
  for (let at = 0; at < moved.length; ) {
    const some = moved.slice(at, at + pace.filesAtOnce);
    writeBackAndMap(some);
    at += some.length;
    pace.breathe();
  }
  const last = moved.at(-1);
  if (!last || fsType === 'btrfs') return;
  if (fsType === 'ext4' && !ext4HasJournal(mount)) syncFileSystem(mount);
  attemptOn(last, fsyncFile);
  pace.breathe();
  if (last.fault) for (const one of moved) if (!one.fault) attemptOn(one, fsyncFile);
}

function writeBackAndMap(some: readonly OpenMoving[]): void {
  const maps = flushAndMapFiles(some.map(({ file }) => file));
  for (const [index, one] of some.entries()) {
    const records = maps[index] ?? unanswered();
    if (records instanceof MaintenanceError) one.fault = records;
    else one.records = records;
  }
}

function attemptOn(one: Moving, call: (file: OpenFile) => void): void {
  try {
    if (one.file) call(one.file);
  } catch (cause) {
    one.fault = asMaintenanceError(cause);
  }
}

/** After an error of the journal: whether this file is hurt. */
function fsyncFile(file: OpenFile): void {
  try {
    fsyncSync(file.fd);
  } catch (cause) {
    throw fromNodeError('flush', cause, file.path);
  }
}
