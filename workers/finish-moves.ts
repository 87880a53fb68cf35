/**
 * Piscina task: move the files of a group whose intents are stored, flush, read back from the disk,
 * compare, and only then give up the donors. docs/file-moves.md has the protocol.
 *
 * One flush serves the group. Each file's own descriptor stays open from before its move until its
 * writes were seen to succeed, since the kernel tells each descriptor of a lost write once.
 */

import { asMaintenanceError, type MaintenanceError } from '../src/domain/errors.js';
import { ofFile } from '../src/domain/failed-file.js';
import { fragmentsOf, fragmentsWithin, skipReasonOf } from '../src/domain/move-plan.js';
import type { FinishMovesTask, FinishOutcome, MoveToFinish } from '../src/domain/move-tasks.js';
import { roundUp } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { openDonorDirectory, openMount } from '../src/kernel/donor-directory.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { flushMoves } from './flush-moves.js';
import { pieceOfIntent } from './move-content.js';
import { Pace, Stopped } from './move-pace.js';
import { movePiece, OpenDonors } from './move-piece.js';
import { isTouched, type Moving, openMoves, unanswered } from './moving.js';
import { settle } from './settle.js';
import { shareBack } from './share-back.js';
import { type MovedPiece, undoMove } from './undo-move.js';
import { checkDonors, type Verifier, verifyMoved } from './verify-moves.js';

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

  const movings = openMoves(mount, task.moves);
  try {
    moveAll(group, movings);
    crashPoint('move-moved');
    flushMoves({ mount, fsType: task.fsType, pace: group.pace }, movings);
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
    for (const { file } of movings) file?.[Symbol.dispose]();
  }
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
      Object.assign(one, movePiece({ ...group, ...move, file, blockBytes: one.blockBytes }));
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
  const fragmentsAfter = countFragments(one);
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
  one.file?.[Symbol.dispose]();
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

/** As they were when all was written. */
function countFragments({ move, blockBytes, records }: Moving): number {
  if (!records) throw unanswered();
  const lengthBytes = roundUp(move.intent.mark.sizeBytes, blockBytes);
  return fragmentsWithin(fragmentsOf(records), { startBytes: 0, lengthBytes }).length;
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
  donors.remove([...all].filter((name) => !needed.has(name)));
}
