/**
 * Piscina task: move the files of a group whose intents are stored, flush, read back from the disk,
 * compare, and only then give up the donors. docs/file-moves.md has the protocol.
 *
 * One flush serves the group. Each file's own descriptor stays open from before its move until its
 * writes were seen to succeed, since the kernel tells each descriptor of a lost write once.
 */

import { closeSync, constants, fsyncSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import { fragmentsOf, fragmentsWithin, skipReasonOf } from '../src/domain/move-plan.js';
import type {
  FinishMovesTask,
  FinishOutcome,
  MoveToFinish,
  Verification,
} from '../src/domain/move-tasks.js';
import { roundUp } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { openDonorDirectory, openMount } from '../src/kernel/donor-directory.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { fileMappings, fileStatus } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';
import { finishWriteBack } from '../src/kernel/write-back.js';
import { checksumOnDisk, pieceOfIntent, sameMark } from './move-content.js';
import { Pace } from './move-pace.js';
import { movePiece, OpenDonors } from './move-piece.js';
import { settle } from './settle.js';
import { undoMove } from './undo-move.js';

const WHOLE_FILE = { startBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER };

export default (task: FinishMovesTask) => settle(() => finishMoves(task));

interface Group {
  readonly task: FinishMovesTask;
  readonly mount: OpenFile;
  readonly donors: OpenDonors;
  readonly pace: Pace;
}

/** A file under way: what was done, and its open descriptor until its end. */
interface Moving {
  readonly move: MoveToFinish;
  readonly file: OpenFile | null;
  readonly movedBytes: number;
  /** Where it stopped; null when all of the piece moved. */
  readonly stoppedAtBytes: number | null;
  /** Why it did not move, or not all. */
  readonly error: MaintenanceError | null;
}

/** @returns one outcome per move, in order. */
export function finishMoves(task: FinishMovesTask): FinishOutcome[] {
  using mount = openMount(task);
  using directory = openDonorDirectory(mount, false);
  using donors = new OpenDonors(directory);
  const group = { task, mount, donors, pace: new Pace(task.control) };

  const moving = task.moves.map((move) => begin(group, move));
  try {
    crashPoint('move-moved');
    const flushed = flush(mount, moving);
    crashPoint('move-synced');
    const outcomes = moving.map((one) => conclude(group, one, flushed));
    crashPoint('move-verified');
    removeSettled(donors, task.moves, outcomes);
    crashPoint('move-settled');
    return outcomes;
  } finally {
    for (const { file } of moving) if (file) closeSync(file.fd);
  }
}

function begin({ mount, donors, pace, task }: Group, move: MoveToFinish): Moving {
  const nothing = { move, file: null, movedBytes: 0, stoppedAtBytes: null, error: null };
  const { intent } = move;
  if (pace.isStopped) return { ...nothing, stoppedAtBytes: intent.startBytes };
  let file: OpenFile | null = null;
  try {
    file = openByHandle(mount, intent.handle, constants.O_RDONLY);
    if (!sameMark(fileStatus(file).mark, intent.mark)) {
      throw new MaintenanceError('ERR_MAP_CHANGED', `${file.path} was written to meanwhile`);
    }
    return { move, file, ...movePiece({ mount, file, donors, pace, intent, verify: task.verify }) };
  } catch (cause) {
    return { ...nothing, file, error: asMaintenanceError(cause) };
  }
}

/** @returns the error of the flush, which fails for lost writes of other programs too. */
function flush(mount: OpenFile, moving: readonly Moving[]): MaintenanceError | null {
  if (!moving.some(({ movedBytes }) => movedBytes > 0)) return null;
  try {
    syncFileSystem(mount);
    return null;
  } catch (cause) {
    return asMaintenanceError(cause);
  }
}

function conclude(group: Group, one: Moving, flushError: MaintenanceError | null): FinishOutcome {
  const { move, file, movedBytes, error } = one;
  if (!file || movedBytes === 0) return notMoved(one);
  try {
    finishWriteBack(file);
    if (flushError) fsyncOne(file);
    const verification = verify(group, one, file);
    dropPageCache(file, pieceOfIntent(move.intent));
    if (error && !skipReasonOf(error)) {
      return { kind: 'failed', settled: true, error: error.toWire(), rolledBack: false };
    }
    return {
      kind: 'moved',
      settled: true,
      verification,
      movedBytes,
      fragmentsBefore: move.plan.fragmentsBefore,
      fragmentsAfter: countFragments(file),
      resumeBytes: error ? null : (one.stoppedAtBytes ?? move.plan.resumeBytes),
    };
  } catch (cause) {
    return rollBack(group, one, asMaintenanceError(cause));
  }
}

function notMoved({ error, stoppedAtBytes }: Moving): FinishOutcome {
  if (stoppedAtBytes !== null) return { kind: 'not-begun', settled: true };
  if (!error) return { kind: 'skipped', settled: true, reason: 'changed' };
  const reason = skipReasonOf(error);
  if (reason) return { kind: 'skipped', settled: true, reason };
  return { kind: 'failed', settled: true, error: error.toWire(), rolledBack: true };
}

/** After a failed flush of the file system: whether this file is hurt. */
function fsyncOne(file: OpenFile): void {
  try {
    fsyncSync(file.fd);
  } catch (cause) {
    throw fromNodeError('flush', cause, file.path);
  }
}

/** @throws MaintenanceError ERR_CHECKSUM_MISMATCH when the content changed and nobody wrote it. */
function verify({ mount, task, pace }: Group, { move }: Moving, file: OpenFile): Verification {
  const { intent } = move;
  if (!task.verify || intent.checksum === null) return 'not-asked';
  // What a swap on XFS put in place was read back from the disk before.
  if (intent.method === 'swap-extents' || intent.method === 'commit-range') return 'verified';
  const isChanged = (): boolean => !sameMark(fileStatus(file).mark, intent.mark);
  if (isChanged()) return 'unverified-changed';
  const checksum = checksumOnDisk(mount, intent, pace);
  if (checksum === intent.checksum) return 'verified';
  if (isChanged()) return 'unverified-changed';
  throw new MaintenanceError(
    'ERR_CHECKSUM_MISMATCH',
    `${file.path} does not read back from the disk as it was before the move`,
    { nextStep: 'Check the disk: it took the data and gave back something else.' },
  );
}

/** Only ext4 has something to undo: the others keep the old blocks in place until it is sure. */
function rollBack(
  { mount, donors }: Group,
  { move }: Moving,
  error: MaintenanceError,
): FinishOutcome {
  const { intent } = move;
  const failed = { kind: 'failed', error: error.toWire() } as const;
  if (intent.method !== 'move-extents' || !intent.donor) {
    return { ...failed, settled: intent.donor === null, rolledBack: false };
  }
  try {
    const donor = donors.open(intent.donor.name);
    undoMove({ mount, intent, place: intent.donor, donor });
    return { ...failed, settled: true, rolledBack: true };
  } catch {
    return { ...failed, settled: false, rolledBack: false };
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
