/** Looks at files and decides whether, and which piece of each, is worth a move. */

import { constants, readFileSync, statSync } from 'node:fs';
import { InvariantError, type MaintenanceError } from '../src/domain/errors.js';
import {
  choosePiece,
  type Fragment,
  flagsOf,
  fragmentsOf,
  fragmentsWithin,
  guardFile,
  guardMappings,
  type MappingRecords,
  PIECE_BYTES_MAX,
  type Piece,
  wholePiece,
} from '../src/domain/move-plan.js';
import type { MoveMethod, MovePlan, MoveRequest, SkipReason } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB, roundUp } from '../src/domain/units.js';
import { type HandleFile, openByHandles } from '../src/kernel/file-handle.js';
import { type FileStatus, flushAndMapFiles, lookAtFiles } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { KernelCallError } from '../src/kernel/kernel-error.js';
import { writtenRanges } from './move-content.js';

/** Each piece gets a place elsewhere, so a large file gets few; on Btrfs none is larger than a data chunk. */
const LARGE_PIECE_BYTES_MAX = 1024 * MIB;
const OPT_OUT_ATTRIBUTE = 'user.dynamicfs.nodefrag';
/**
 * A change must show in the times, which have the step of the kernel's clock (10 ms at most), or of
 * a second where the inode has no room for more.
 */
const CLOCK_STEP_MS = 20;
const COARSE_CLOCK_STEP_MS = 2000;
export const WHOLE_FILE = { startBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER };

export interface Candidate {
  readonly request: MoveRequest;
  /** Open, until whoever has the candidate closes it. */
  readonly file: HandleFile;
  readonly status: FileStatus;
  readonly records: MappingRecords;
  readonly piece: Piece;
  /** Of the piece, up to the end of the file: what was ever written. */
  readonly written: readonly ByteRun[];
  readonly plan: MovePlan;
}

export interface Examiner {
  readonly task: { readonly quietMs: number; readonly allowUnshare: boolean };
  readonly method: MoveMethod;
  /** `device:inode` of what is swapped to. */
  readonly swapFiles: ReadonlySet<string>;
  /** Whether there is room, memory and quiet for a piece that is larger than others. */
  readonly hasRoomFor: (pieceBytes: number) => boolean;
}

export interface Skip {
  readonly reason: SkipReason;
  readonly fragmentCount: number | null;
}

/** A file that could not be looked at. */
export interface Unread {
  readonly error: MaintenanceError;
  /** Null when it could not even be opened. */
  readonly path: string | null;
}

export type Examined = Candidate | Skip | Unread;

interface Look {
  readonly request: MoveRequest;
  readonly file: HandleFile;
  /** Null while nothing was found out. */
  found: Examined | null;
}

/**
 * Looks at files, each step of all of them in one call: guards first, then their mappings.
 *
 * @returns per request, in order, what was found. Of the files only those of candidates are open.
 */
export function examineAll(
  examiner: Examiner,
  mount: OpenFile,
  requests: readonly MoveRequest[],
): Examined[] {
  const handles = requests.map(({ handle }) => handle);
  const opened = openByHandles(mount, handles, constants.O_RDONLY);
  const looks = opened.map((file, index): Look | KernelCallError => {
    const request = requests[index];
    if (!request) throw new InvariantError('a file that nobody asked for');
    return file instanceof KernelCallError ? file : { request, file, found: null };
  });
  const open = looks.filter((look): look is Look => !(look instanceof KernelCallError));
  try {
    chooseAll(examiner, guardAll(examiner, open));
    return looks.map((look) => {
      if (look instanceof KernelCallError) return { error: look, path: null };
      return look.found ?? { error: new InvariantError('not looked at'), path: look.file.path };
    });
  } finally {
    for (const { file, found } of open) {
      if (found === null || !('piece' in found)) file[Symbol.dispose]();
    }
  }
}

interface Guarded {
  readonly look: Look;
  readonly status: FileStatus;
}

/** @returns those that no guard keeps from being moved. */
function guardAll({ task, swapFiles }: Examiner, looks: readonly Look[]): Guarded[] {
  const statuses = lookAtFiles(
    looks.map(({ file }) => file),
    OPT_OUT_ATTRIBUTE,
  );
  const nowMs = Date.now();
  return looks.flatMap((look, index) => {
    const status = statuses[index];
    if (!status || status instanceof KernelCallError) {
      look.found = unread(look, status);
      return [];
    }
    const state = {
      isRegularFile: status.isRegularFile,
      sizeBytes: status.mark.sizeBytes,
      changedMsAgo: nowMs - status.changedAtMs,
      attributes: status.attributes,
      isSwapFile: swapFiles.size > 0 && swapFiles.has(`${status.deviceNumber}:${status.inode}`),
      isOptedOut: status.hasAttribute,
    };
    const reason = guardFile(state, Math.max(task.quietMs, clockStepMs(status)));
    if (reason) look.found = { reason, fragmentCount: null };
    return reason ? [] : [{ look, status }];
  });
}

function chooseAll(examiner: Examiner, guarded: readonly Guarded[]): void {
  // What was written through mmap(2) gets its place, and its next write shows in the times.
  const maps = flushAndMapFiles(guarded.map(({ look }) => look.file));
  for (const [index, { look, status }] of guarded.entries()) {
    const records = maps[index];
    look.found =
      !records || records instanceof KernelCallError
        ? unread(look, records)
        : choose(examiner, look, status, records);
  }
}

function unread({ file }: Look, error: KernelCallError | undefined): Unread {
  return { error: error ?? new InvariantError('a file without an answer'), path: file.path };
}

function choose(
  examiner: Examiner,
  { request, file }: Look,
  status: FileStatus,
  records: MappingRecords,
): Candidate | Skip {
  const { task, method } = examiner;
  const { blockBytes, mark } = status;
  const upToEnd = { startBytes: 0, lengthBytes: roundUp(mark.sizeBytes, blockBytes) };
  const fragments = fragmentsWithin(fragmentsOf(records), upToEnd);
  const reason = guardMappings(flagsOf(records), task.allowUnshare);
  if (reason) return { reason, fragmentCount: fragments.length };

  const piece = pieceOf(examiner, fragments, request.startBytes);
  if (!piece) return { reason: 'contiguous', fragmentCount: fragments.length };
  const endBytes = piece.startBytes + piece.lengthBytes;
  const goesOn = method !== 'swap-extents' && pieceOf(examiner, fragments, endBytes) !== null;
  const written = writtenRanges(records, piece, mark.sizeBytes);
  const plan: MovePlan = {
    sizeBytes: mark.sizeBytes,
    moveBytes: moveBytesOf(method, piece, written, blockBytes),
    fragmentsBefore: fragments.length,
    pieceFragmentsBefore: piece.fragmentCount,
    pieceFragmentsAfter: piece.idealFragmentCount,
    method,
    resumeBytes: goesOn ? endBytes : null,
  };
  return { request, file, status, records, piece, written, plan };
}

/** Btrfs leaves what is only allocated where it is. */
function moveBytesOf(
  method: MoveMethod,
  piece: Piece,
  written: readonly ByteRun[],
  blockBytes: number,
): number {
  if (method !== 'defragment-range') return piece.allocatedBytes;
  return written.reduce((sum, { lengthBytes }) => sum + roundUp(lengthBytes, blockBytes), 0);
}

function clockStepMs({ mark }: FileStatus): number {
  const hasFractions = [mark.mtimeNs, mark.ctimeNs].some((time) => !/0{9}$/.test(time));
  return hasFractions ? CLOCK_STEP_MS : COARSE_CLOCK_STEP_MS;
}

function pieceOf(
  { method, hasRoomFor }: Examiner,
  fragments: Fragment[],
  startBytes: number,
): Piece | null {
  if (method === 'swap-extents') return wholePiece(fragments);
  const piece = choosePiece(fragments, startBytes, LARGE_PIECE_BYTES_MAX);
  if (!piece || piece.lengthBytes <= PIECE_BYTES_MAX || hasRoomFor(piece.lengthBytes)) return piece;
  return choosePiece(fragments, startBytes, PIECE_BYTES_MAX);
}

/** Source: proc_swaps(5). Empty where it cannot be read: the kernel refuses to move a swap file. */
export function readSwapFiles(): ReadonlySet<string> {
  const lines = readFileSync('/proc/swaps', 'utf8').split('\n').slice(1);
  const keys = lines.flatMap((line) => {
    const path = line.split(/\s/, 1)[0]?.replace(/\\(\d{3})/g, unescapeOctal) ?? '';
    const status = path === '' ? undefined : statSync(path, { throwIfNoEntry: false });
    return status?.isFile() ? [`${status.dev}:${status.ino}`] : [];
  });
  return new Set(keys);
}

function unescapeOctal(_: string, digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 8));
}
