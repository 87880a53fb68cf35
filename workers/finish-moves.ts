/**
 * Piscina task: move the files of a group whose intents are stored, flush, read back from the disk,
 * compare, and only then give up the donors. docs/file-moves.md has the protocol.
 *
 * One flush serves the group. Each file's own descriptor stays open from before its move until its
 * writes were seen to succeed, since the kernel tells each descriptor of a lost write once.
 */

import { closeSync, constants, fsyncSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import { ofFile } from '../src/domain/failed-file.js';
import { fragmentsOf, fragmentsWithin, skipReasonOf } from '../src/domain/move-plan.js';
import type { FinishMovesTask, FinishOutcome, MoveToFinish } from '../src/domain/move-tasks.js';
import { roundUp } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { openDonorDirectory, openMount } from '../src/kernel/donor-directory.js';
import { ext4HasJournal } from '../src/kernel/ext4-journal.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { fileMappings, fileStatus } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';
import { finishWriteBack } from '../src/kernel/write-back.js';
import { pieceOfIntent, sameMark } from './move-content.js';
import { Pace, Stopped } from './move-pace.js';
import { movePiece, OpenDonors } from './move-piece.js';
import { settle } from './settle.js';
import { shareBack } from './share-back.js';
import { type MovedPiece, undoMove } from './undo-move.js';
import { checkDonors, isTouched, type Moving, type Verifier, verifyMoved } from './verify-moves.js';

const WHOLE_FILE = { startBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER };

export default (task: FinishMovesTask) => settle(() => finishMoves(task));

interface Group extends Verifier {
  readonly task: FinishMovesTask;
}

/** @returns one outcome per move, in order. */
export function finishMoves(task: FinishMovesTask): FinishOutcome[] {
  using mount = openMount(task);
  using directory = openDonorDirectory(mount, false);
  using donors = new OpenDonors(directory);
  const group = { task, mount, donors, pace: new Pace(task.control) };

  const movings = task.moves.map((move) => open(mount, move));
  try {
    moveAll(group, movings);
    crashPoint('move-moved');
    flush(group, movings);
    crashPoint('move-synced');
    verifyMoved(group, movings.filter(mustBeVerified));
    crashPoint('move-verified');
    const outcomes = movings.map((one) => {
      const outcome = named(one.file, conclude(group, one));
      group.pace.breathe();
      return outcome;
    });
    removeSettled(donors, task.moves, outcomes);
    group.pace.breathe();
    crashPoint('move-settled');
    return outcomes;
  } finally {
    for (const { file } of movings) if (file) closeSync(file.fd);
  }
}

function open(mount: OpenFile, move: MoveToFinish): Moving {
  let file: OpenFile | null = null;
  let error: MaintenanceError | null = null;
  try {
    file = openByHandle(mount, move.intent.handle, constants.O_RDONLY);
    if (!sameMark(fileStatus(file).mark, move.intent.mark)) {
      throw new MaintenanceError('ERR_MAP_CHANGED', `${file.path} was written to meanwhile`);
    }
  } catch (cause) {
    error = asMaintenanceError(cause);
  }
  const verification = 'not-asked';
  return {
    move,
    file,
    movedBytes: 0,
    mayHaveMoved: false,
    stoppedAtBytes: null,
    error,
    fault: null,
    verification,
  };
}

function moveAll(group: Group, movings: readonly Moving[]): void {
  const swaps = movings.filter((one) => one.error === null && isSwap(one) && isChecked(one));
  let unchecked = new Set<Moving>();
  try {
    checkDonors(group, swaps);
  } catch (cause) {
    if (!(cause instanceof Stopped)) throw cause;
    unchecked = new Set(swaps);
  }
  for (const one of movings) {
    const { file, move, error } = one;
    if (!file || error) continue;
    if (group.pace.isStopped || unchecked.has(one)) {
      one.stoppedAtBytes = move.intent.startBytes;
      continue;
    }
    try {
      Object.assign(one, movePiece({ ...group, file, intent: move.intent }));
      if (isSwap(one) && isChecked(one)) one.verification = 'verified';
    } catch (cause) {
      one.error = asMaintenanceError(cause);
    }
  }
}

function isSwap({ move }: Moving): boolean {
  return ['swap-extents', 'commit-range', 'share-range'].includes(move.intent.method);
}

function isChecked({ move }: Moving): boolean {
  return move.intent.checksum !== null;
}

function mustBeVerified(one: Moving): boolean {
  return isTouched(one) && one.fault === null && isChecked(one) && !isSwap(one);
}

/**
 * Asks each file whether all of what was moved was written, then has the journal write the moves.
 *
 * The journal is one for all files, so a flush of the last one serves the group. Btrfs needs none:
 * it frees the old blocks in the transaction that records the new ones.
 */
function flush({ mount, task, pace }: Group, movings: readonly Moving[]): void {
  const moved = movings.filter(isTouched);
  for (const one of moved) {
    attemptOn(one, finishWriteBack);
    pace.breathe();
  }
  const last = moved.at(-1);
  if (!last || task.fsType === 'btrfs') return;
  if (task.fsType === 'ext4' && !ext4HasJournal(mount)) syncFileSystem(mount);
  attemptOn(last, fsyncFile);
  pace.breathe();
  if (last.fault) for (const one of moved) if (!one.fault) attemptOn(one, fsyncFile);
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

/** An error of its donor is one of the file. */
function named(file: OpenFile | null, outcome: FinishOutcome): FinishOutcome {
  if (outcome.kind !== 'failed' || !file) return outcome;
  return { ...outcome, error: ofFile(outcome.error, file.path) };
}

function conclude(group: Group, one: Moving): FinishOutcome {
  const { move, file, movedBytes, error, fault, verification } = one;
  if (fault) return rollBack(group, one, fault);
  if (!file || movedBytes === 0) return notMoved(one);
  if (error && !skipReasonOf(error)) {
    return { kind: 'failed', settled: true, error: error.toWire(), rolledBack: false };
  }
  if (mustLeaveCache(group, one)) dropPageCache(file, pieceOfIntent(move.intent));
  const fragmentsAfter = countFragments(file);
  if (goBackIfWorse(group, one, fragmentsAfter)) {
    return { kind: 'skipped', settled: true, reason: 'no-better-place' };
  }
  return {
    kind: 'moved',
    settled: true,
    verification,
    movedBytes,
    fragmentsBefore: move.plan.fragmentsBefore,
    fragmentsAfter,
    resumeBytes: error ? null : (one.stoppedAtBytes ?? move.plan.resumeBytes),
  };
}

/**
 * What was read for the move need not push out what others use. Where nobody uses the devices Btrfs
 * keeps it, which takes a fifth of the time: a file that was cached before is cached again. ext4 was
 * read in single pages, which cost memory.
 */
function mustLeaveCache({ task, pace }: Group, one: Moving): boolean {
  if (isSwap(one)) return false;
  return task.fsType === 'ext4' || !pace.isAtFullSpeed;
}

function notMoved({ error, stoppedAtBytes, mayHaveMoved }: Moving): FinishOutcome {
  if (stoppedAtBytes !== null) return { kind: 'not-begun', settled: true };
  if (!error) return { kind: 'skipped', settled: true, reason: 'changed' };
  const reason = skipReasonOf(error);
  if (reason) return { kind: 'skipped', settled: true, reason };
  return { kind: 'failed', settled: true, error: error.toWire(), rolledBack: !mayHaveMoved };
}

/**
 * XFS has nothing to undo: only what was verified is swapped in. Nor has Btrfs without a donor: of
 * what it could not write, the file still refers to the old blocks.
 */
function rollBack({ mount, donors }: Group, one: Moving, error: MaintenanceError): FinishOutcome {
  const { intent } = one.move;
  const failed = { kind: 'failed', error: error.toWire() } as const;
  if (isSwap(one)) return { ...failed, settled: false, rolledBack: false };
  const place = intent.donor;
  if (!place) return { ...failed, settled: true, rolledBack: false };
  try {
    const moved = { mount, intent, place, donor: donors.open(place.name) };
    if (intent.method === 'move-extents') undoMove(moved);
    else undoDefragmentation(moved, one);
    return { ...failed, settled: true, rolledBack: true };
  } catch {
    return { ...failed, settled: false, rolledBack: false };
  }
}

function undoDefragmentation(moved: MovedPiece, one: Moving): void {
  // Even our own descriptor would keep us from having the file to ourselves.
  if (one.file) closeSync(one.file.fd);
  one.file = null;
  shareBack(moved);
}

/**
 * Btrfs may find no better place than the one it left. The file goes back to that, unless somebody
 * has it open.
 */
function goBackIfWorse({ mount, donors }: Group, one: Moving, fragmentsAfter: number): boolean {
  const { intent, plan } = one.move;
  if (intent.method !== 'defragment-range' || fragmentsAfter <= plan.fragmentsBefore) return false;
  const place = intent.donor;
  if (!place) return false;
  try {
    undoDefragmentation({ mount, intent, place, donor: donors.open(place.name) }, one);
    return true;
  } catch {
    return false;
  }
}

function countFragments(file: OpenFile): number {
  const { mark, blockBytes } = fileStatus(file);
  const upToEnd = { startBytes: 0, lengthBytes: roundUp(mark.sizeBytes, blockBytes) };
  return fragmentsWithin(fragmentsOf(fileMappings(file, WHOLE_FILE)), upToEnd).length;
}

/** A donor that a single unsettled move needs stays. */
function removeSettled(
  donors: OpenDonors,
  moves: readonly MoveToFinish[],
  outcomes: readonly FinishOutcome[],
): void {
  const needed = new Set<string>();
  const all = new Set<string>();
  for (const [index, { intent }] of moves.entries()) {
    if (!intent.donor) continue;
    all.add(intent.donor.name);
    if (!outcomes[index]?.settled) needed.add(intent.donor.name);
  }
  for (const name of all) if (!needed.has(name)) donors.remove(name);
}
