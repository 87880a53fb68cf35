/** Moves one piece of one file on Btrfs. */

import { asMaintenanceError, type MaintenanceError } from '../src/domain/errors.js';
import { TARGET_FRAGMENT_BYTES } from '../src/domain/fragmentation.js';
import { PIECE_BYTES_MAX, rangesOf, windowsOf } from '../src/domain/move-plan.js';
import type { MovePlan } from '../src/domain/move-tasks.js';
import type { ByteRun } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { defragmentRange } from '../src/kernel/defragment-range.js';
import { fileMappings } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { takeTurn } from '../src/kernel/turns.js';
import { startWriteBack } from '../src/kernel/write-back.js';
import { pieceOfIntent } from './move-content.js';
import type { PieceMove, PieceMoved } from './move-piece.js';

/**
 * Btrfs gives what is written at once one place, but no more than 128 MiB of it. So a larger piece is
 * written in such steps, each where the last one ended, while no other one is. There are larger ones
 * at full speed only: where others come meanwhile, it ends.
 */
export function defragmentPiece(move: PieceMove): PieceMoved {
  if (move.intent.lengthBytes <= PIECE_BYTES_MAX) return defragmentByWindows(move);
  using _turn = takeTurn(move.mount, 'write');
  return defragmentByWindows(move);
}

function defragmentByWindows({ file, pace, intent, plan }: PieceMove): PieceMoved {
  const piece = pieceOfIntent(intent);
  let movedBytes = 0;
  let askedBytes = 0;
  for (const { run, writtenBytes } of windowsToMove(file, piece, plan, pace.windowBytes)) {
    if (pace.ends(piece)) {
      startWriteBack(file);
      return { movedBytes, stoppedAtBytes: run.startBytes, error: null };
    }
    const error = defragmentWindow(file, run);
    if (error) {
      startWriteBack(file);
      // The kernel does not say how much of the window it had marked before it failed.
      return { movedBytes, stoppedAtBytes: null, error, mayHaveMoved: true };
    }
    movedBytes += writtenBytes;
    crashPoint('move-window');
    if (movedBytes - askedBytes >= PIECE_BYTES_MAX) {
      startWriteBack(file);
      askedBytes = movedBytes;
    }
    pace.spend(writtenBytes);
  }
  startWriteBack(file);
  return { movedBytes, stoppedAtBytes: null, error: null };
}

interface Window {
  readonly run: ByteRun;
  /** Of the run, what is neither a hole nor only allocated. */
  readonly writtenBytes: number;
}

/** What is no larger than a window is one: the kernel leaves holes alone, and what is only allocated. */
function windowsToMove(
  file: OpenFile,
  piece: ByteRun,
  { moveBytes }: MovePlan,
  windowBytes: number,
): Window[] {
  if (piece.lengthBytes <= windowBytes) return [{ run: piece, writtenBytes: moveBytes }];
  return rangesOf(fileMappings(file, piece), piece, true)
    .flatMap((range) => windowsOf(range, windowBytes))
    .map((run) => ({ run, writtenBytes: run.lengthBytes }));
}

/** @returns what kept the kernel from it. */
function defragmentWindow(file: OpenFile, run: ByteRun): MaintenanceError | null {
  try {
    // Leaves alone what the choice of the piece did.
    defragmentRange(file, run, TARGET_FRAGMENT_BYTES);
    return null;
  } catch (cause) {
    return asMaintenanceError(cause);
  }
}
