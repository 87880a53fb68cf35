/** Looks at a file and decides whether, and which piece of it, is worth a move. */

import { readFileSync, statSync } from 'node:fs';
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
import { MIB, roundUp } from '../src/domain/units.js';
import {
  type FileStatus,
  fileAttributes,
  fileMappings,
  fileStatus,
  hasExtendedAttribute,
} from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { finishWriteBack } from '../src/kernel/write-back.js';

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
  readonly file: OpenFile;
  readonly status: FileStatus;
  readonly records: MappingRecords;
  readonly piece: Piece;
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

/**
 * Looks at an open file: guards first, then its mappings.
 *
 * @throws KernelCallError EIO when something of it could not be written.
 */
export function examine(
  examiner: Examiner,
  request: MoveRequest,
  file: OpenFile,
): Candidate | Skip {
  const { task, method, swapFiles } = examiner;
  const status = fileStatus(file);
  const state = {
    isRegularFile: status.isRegularFile,
    sizeBytes: status.mark.sizeBytes,
    changedMsAgo: Date.now() - status.changedAtMs,
    attributes: fileAttributes(file),
    isSwapFile: swapFiles.has(`${status.deviceNumber}:${status.inode}`),
    isOptedOut: status.isRegularFile && hasExtendedAttribute(file, OPT_OUT_ATTRIBUTE),
  };
  const guard = guardFile(state, Math.max(task.quietMs, clockStepMs(status)));
  if (guard) return { reason: guard, fragmentCount: null };

  // What was written through mmap(2) gets its place, and its next write shows in the times.
  finishWriteBack(file);
  const records = fileMappings(file, WHOLE_FILE);
  const { blockBytes, mark } = status;
  const upToEnd = { startBytes: 0, lengthBytes: roundUp(mark.sizeBytes, blockBytes) };
  const fragments = fragmentsWithin(fragmentsOf(records), upToEnd);
  const reason = guardMappings(flagsOf(records), task.allowUnshare);
  if (reason) return { reason, fragmentCount: fragments.length };

  const piece = pieceOf(examiner, fragments, request.startBytes);
  if (!piece) return { reason: 'contiguous', fragmentCount: fragments.length };
  const endBytes = piece.startBytes + piece.lengthBytes;
  const goesOn = method !== 'swap-extents' && pieceOf(examiner, fragments, endBytes) !== null;
  const plan: MovePlan = {
    sizeBytes: mark.sizeBytes,
    moveBytes: piece.allocatedBytes,
    fragmentsBefore: fragments.length,
    pieceFragmentsBefore: piece.fragmentCount,
    pieceFragmentsAfter: piece.idealFragmentCount,
    method,
    resumeBytes: goesOn ? endBytes : null,
  };
  return { request, file, status, records, piece, plan };
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
