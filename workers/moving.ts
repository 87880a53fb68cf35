/** Files under way, from before their move until its end. */

import { constants } from 'node:fs';
import { InvariantError, MaintenanceError } from '../src/domain/errors.js';
import type { MappingRecords } from '../src/domain/move-plan.js';
import type { MoveToFinish, Verification } from '../src/domain/move-tasks.js';
import { type HandleFile, openByHandles } from '../src/kernel/file-handle.js';
import { lookAtFiles } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { KernelCallError } from '../src/kernel/kernel-error.js';
import { sameMark } from './move-content.js';

/** A file under way: what was done to it, and its open descriptor until its end. */
export interface Moving {
  readonly move: MoveToFinish;
  /** Null when it could not be opened, or was closed. */
  file: HandleFile | null;
  movedBytes: number;
  /** Whether more than that may lie elsewhere now. */
  mayHaveMoved: boolean;
  /** Where a stop ended it; null when all of the piece moved. */
  stoppedAtBytes: number | null;
  /** Why it did not move, or not all. */
  error: MaintenanceError | null;
  /** Why what was moved cannot stay. */
  fault: MaintenanceError | null;
  verification: Verification;
  /** Of its file system. */
  blockBytes: number;
  /** All mappings of the file when what was moved was written; null before. */
  records: MappingRecords | null;
}

export type OpenMoving = Moving & { file: HandleFile };

export function isTouched({ movedBytes, mayHaveMoved }: Moving): boolean {
  return movedBytes > 0 || mayHaveMoved;
}

/** Opens the files of moves, and sees whether they still are as they were. */
export function openMoves(mount: OpenFile, moves: readonly MoveToFinish[]): Moving[] {
  const handles = moves.map(({ intent }) => intent.handle);
  const opened = openByHandles(mount, handles, constants.O_RDONLY);
  const movings = moves.map((move, index): Moving => {
    const file = opened[index] ?? null;
    const isOpen = !(file instanceof KernelCallError);
    return {
      move,
      file: isOpen ? file : null,
      movedBytes: 0,
      mayHaveMoved: false,
      stoppedAtBytes: null,
      error: isOpen ? null : file,
      fault: null,
      verification: 'not-asked',
      blockBytes: 0,
      records: null,
    };
  });
  const open = movings.filter(isOpen);
  const statuses = lookAtFiles(open.map(({ file }) => file));
  for (const [index, one] of open.entries()) {
    const status = statuses[index];
    if (!status || status instanceof KernelCallError) {
      one.error = status ?? unanswered();
      continue;
    }
    one.blockBytes = status.blockBytes;
    if (sameMark(status.mark, one.move.intent.mark)) continue;
    one.error = new MaintenanceError(
      'ERR_MAP_CHANGED',
      `${one.file.path} was written to meanwhile`,
    );
  }
  return movings;
}

export function isOpen(one: Moving): one is OpenMoving {
  return one.file !== null;
}

export function unanswered(): InvariantError {
  return new InvariantError('a file without an answer');
}
