/** Moves one piece of one file by the interface of its file system, window by window. */

import { closeSync, constants } from 'node:fs';
import { asMaintenanceError, InvariantError, MaintenanceError } from '../src/domain/errors.js';
import { fragmentsOf, fragmentsWithin, rangesOf, windowsOf } from '../src/domain/move-plan.js';
import type { DonorPlace, MoveIntent, MovePlan } from '../src/domain/move-tasks.js';
import { type ByteRun, roundDown, roundUp } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { dedupeRange } from '../src/kernel/dedupe-range.js';
import { type DirectoryHandle, openDonor, removeDonors } from '../src/kernel/donor-directory.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { fileMappings, fileStatus } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { moveExtents } from '../src/kernel/move-extents.js';
import { readAhead } from '../src/kernel/page-cache.js';
import { commitRange, startCommit, swapExtents } from '../src/kernel/swap-extents.js';
import { finishWriteBack, startWriteBack } from '../src/kernel/write-back.js';
import { defragmentPiece } from './defragment-piece.js';
import { contentRanges, pieceOfIntent, sameMark } from './move-content.js';
import type { Pace } from './move-pace.js';

const BUSY_TRIES = 5;
const BUSY_WAIT_MS = 2;

export interface PieceMove {
  readonly mount: OpenFile;
  /** Read-only: an open for writing would keep others from running the file. */
  readonly file: OpenFile;
  readonly donors: OpenDonors;
  readonly pace: Pace;
  readonly intent: MoveIntent;
  readonly plan: MovePlan;
  readonly blockBytes: number;
}

export interface PieceMoved {
  readonly movedBytes: number;
  readonly stoppedAtBytes: number | null;
  /** What ended it before its end, after something was moved or may have been. */
  readonly error: MaintenanceError | null;
  /** Whether more than `movedBytes` may lie elsewhere now. */
  readonly mayHaveMoved?: boolean;
  /** Why what was moved cannot stay. */
  readonly fault?: MaintenanceError | null;
}

/** The donors of a group, each opened once. */
export class OpenDonors implements Disposable {
  readonly #directory: DirectoryHandle | null;
  readonly #open = new Map<string, OpenFile>();

  constructor(directory: DirectoryHandle | null) {
    this.#directory = directory;
  }

  open(name: string): OpenFile {
    let donor = this.#open.get(name);
    if (!donor) {
      if (!this.#directory) throw new MaintenanceError('ERR_TARGET_NOT_FOUND', 'no .dynamicfs');
      donor = openDonor(this.#directory, name, false);
      this.#open.set(name, donor);
    }
    return donor;
  }

  remove(names: readonly string[]): void {
    for (const name of names) {
      const donor = this.#open.get(name);
      if (donor) closeSync(donor.fd);
      this.#open.delete(name);
    }
    if (this.#directory) removeDonors(this.#directory, names);
  }

  [Symbol.dispose](): void {
    for (const donor of this.#open.values()) closeSync(donor.fd);
  }
}

/** @throws MaintenanceError when nothing was moved. */
export function movePiece(move: PieceMove): PieceMoved {
  const { intent, donors } = move;
  if (intent.method === 'defragment-range') return defragmentPiece(move);
  const place = intent.donor;
  if (!place) throw new InvariantError('a move by swapping without a donor');
  const donor = donors.open(place.name);
  if (intent.method === 'move-extents') return moveByWindows(move, place, donor);
  if (intent.method === 'share-range') return shareByWindows(move, donor);
  return swapWhole(move, place, donor);
}

function moveByWindows(move: PieceMove, place: DonorPlace, donor: OpenFile): PieceMoved {
  const { mount, file, pace, intent, blockBytes } = move;
  const piece = upToEnd(pieceOfIntent(intent), intent.mark.sizeBytes, blockBytes);
  const windows = rangesOf(fileMappings(file, piece), piece, false).flatMap((range) =>
    windowsOf(range, roundDown(pace.windowBytes, blockBytes)),
  );
  const writable = openByHandle(mount, intent.handle, constants.O_RDWR);
  let movedBytes = 0;
  try {
    for (const run of windows) {
      if (pace.ends(piece)) return { movedBytes, stoppedAtBytes: run.startBytes, error: null };
      const donorStartBytes = place.startBytes + run.startBytes - intent.startBytes;
      const window = { file: writable, donor, run, donorStartBytes, blockBytes };
      const { doneBytes, error } = moveWindow(window);
      movedBytes += doneBytes;
      startWriteBack(file);
      crashPoint('move-window');
      if (error) throw error;
      if (doneBytes < run.lengthBytes) throw changed(file);
      pace.spend(doneBytes);
    }
    return { movedBytes, stoppedAtBytes: null, error: null };
  } catch (cause) {
    const error = asMaintenanceError(cause);
    if (movedBytes === 0) throw error;
    return { movedBytes, stoppedAtBytes: null, error };
  } finally {
    writable[Symbol.dispose]();
  }
}

/**
 * A call may end early, and may find a page busy for a moment.
 *
 * @returns what moved, and what ended it; no error where the file ends elsewhere by now.
 */
function moveWindow(request: Parameters<typeof moveExtents>[0]): {
  readonly doneBytes: number;
  readonly error: MaintenanceError | null;
} {
  const { run } = request;
  let doneBytes = 0;
  for (let tries = 0; doneBytes < run.lengthBytes; ) {
    try {
      const movedBytes = moveExtents({
        ...request,
        run: { startBytes: run.startBytes + doneBytes, lengthBytes: run.lengthBytes - doneBytes },
        donorStartBytes: request.donorStartBytes + doneBytes,
      });
      if (movedBytes === 0) break;
      doneBytes += movedBytes;
    } catch (cause) {
      const error = asMaintenanceError(cause);
      if (error.details.errnoName === 'EINVAL') break;
      tries += 1;
      if (error.code !== 'ERR_TARGET_BUSY' || tries === BUSY_TRIES) return { doneBytes, error };
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_WAIT_MS);
    }
  }
  return { doneBytes, error: null };
}

/**
 * XFS: the file gets the blocks of the donor, which was read back from the disk and compared before,
 * and the kernel compares again under the locks of both. Once the donor is gone they are the file's
 * alone.
 */
function shareByWindows({ mount, file, intent, pace }: PieceMove, donor: OpenFile): PieceMoved {
  finishWriteBack(donor);
  const { mark } = fileStatus(file);
  const windows = contentRanges(file, pieceOfIntent(intent), mark.sizeBytes).flatMap((range) =>
    windowsOf(range, pace.windowBytes),
  );
  const writable = openByHandle(mount, intent.handle, constants.O_RDWR);
  let movedBytes = 0;
  try {
    for (const run of windows) {
      if (pace.isStopped) return { movedBytes, stoppedAtBytes: run.startBytes, error: null };
      const inDonor = { ...run, startBytes: run.startBytes - intent.startBytes };
      // Cached since it was copied, as a rule; else the kernel would ask the disk page by page.
      readAhead(file, run);
      readAhead(donor, inDonor);
      shareWindow(writable, donor, run, inDonor.startBytes);
      movedBytes += run.lengthBytes;
      crashPoint('move-window');
      pace.spend(run.lengthBytes);
    }
    return { movedBytes, stoppedAtBytes: null, error: null };
  } catch (cause) {
    // EINVAL where the file ends elsewhere by now.
    const error = refusal(writable, intent, asMaintenanceError(cause));
    if (movedBytes === 0) throw error;
    return { movedBytes, stoppedAtBytes: null, error };
  } finally {
    writable[Symbol.dispose]();
  }
}

function shareWindow(file: OpenFile, donor: OpenFile, run: ByteRun, donorStartBytes: number): void {
  const { startBytes, lengthBytes } = run;
  for (let doneBytes = 0; doneBytes < lengthBytes; ) {
    const rest = { startBytes: startBytes + doneBytes, lengthBytes: lengthBytes - doneBytes };
    const sharedBytes = dedupeRange(file, rest, donor, donorStartBytes + doneBytes);
    // Nothing shared and no error: the file ends elsewhere by now.
    if (sharedBytes === null || sharedBytes === 0) throw changed(file);
    doneBytes += sharedBytes;
  }
}

/** XFS: what is swapped in was read back from the disk and compared before. */
function swapWhole(
  { mount, file, intent, pace }: PieceMove,
  place: DonorPlace,
  donor: OpenFile,
): PieceMoved {
  if (pace.isStopped) return { movedBytes: 0, stoppedAtBytes: intent.startBytes, error: null };
  finishWriteBack(donor);
  const writable = openByHandle(mount, intent.handle, constants.O_RDWR);
  try {
    swap(writable, donor, intent);
  } catch (cause) {
    throw refusal(writable, intent, asMaintenanceError(cause));
  } finally {
    writable[Symbol.dispose]();
  }
  crashPoint('move-window');
  const fault = misplaced(file, intent, place);
  return { movedBytes: mappedBytes(place), stoppedAtBytes: null, error: null, fault };
}

function mappedBytes({ runs }: DonorPlace): number {
  return runs.reduce((sum, run) => sum + run.lengthBytes, 0);
}

/** XFS says EFAULT for another size, EINVAL for another map or pages that came back: all a race. */
function refusal(file: OpenFile, intent: MoveIntent, error: MaintenanceError): MaintenanceError {
  if (!['EFAULT', 'EINVAL', 'EAGAIN', 'EBUSY'].includes(String(error.details.errnoName)))
    return error;
  if (!sameMark(fileStatus(file).mark, intent.mark)) return changed(file);
  return new MaintenanceError('ERR_TARGET_BUSY', error.message, {
    details: { errnoName: 'EBUSY' },
  });
}

function swap(file: OpenFile, donor: OpenFile, intent: MoveIntent): void {
  const { startBytes, mark } = intent;
  if (intent.method === 'swap-extents') {
    swapExtents(file, donor, { inode: fileStatus(file).inode, mark });
    return;
  }
  const freshness = startCommit(file);
  // The sample is of now; only with the mark of the copy is it a sample of what was copied.
  if (!sameMark(fileStatus(file).mark, mark)) throw changed(file);
  const endBytes = Math.min(startBytes + intent.lengthBytes, mark.sizeBytes);
  const run = { startBytes, lengthBytes: endBytes - startBytes };
  commitRange({ file, donor, run, donorStartBytes: 0, freshness });
}

/** @returns null when the file lies where the donor lay, whose blocks were checked. */
function misplaced(
  file: OpenFile,
  intent: MoveIntent,
  { runs }: DonorPlace,
): MaintenanceError | null {
  const piece = pieceOfIntent(intent);
  const found = fragmentsWithin(fragmentsOf(fileMappings(file, piece)), piece);
  const inside = found.every(({ physicalBytes, lengthBytes }) =>
    runs.some(
      (run) =>
        physicalBytes >= run.startBytes &&
        physicalBytes + lengthBytes <= run.startBytes + run.lengthBytes,
    ),
  );
  // A writer may have been here since the swap: only what nobody touched must be in its place.
  if (inside || !sameMark(fileStatus(file).mark, intent.mark)) return null;
  return new InvariantError(`${file.path} does not lie where it was moved to`);
}

function upToEnd(piece: ByteRun, sizeBytes: number, blockBytes: number): ByteRun {
  const endBytes = Math.min(piece.startBytes + piece.lengthBytes, roundUp(sizeBytes, blockBytes));
  return { startBytes: piece.startBytes, lengthBytes: endBytes - piece.startBytes };
}

function changed(file: OpenFile): MaintenanceError {
  return new MaintenanceError('ERR_MAP_CHANGED', `${file.path} was written to meanwhile`);
}
