/**
 * Piscina task: look at files of a mounted file system, and get those that are worth it ready to
 * move. Nothing of a file is changed here. docs/file-moves.md has the protocol.
 */

import { closeSync, constants, ftruncateSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { asMaintenanceError } from '../src/domain/errors.js';
import {
  choosePiece,
  type Fragment,
  flagsOf,
  fragmentsOf,
  fragmentsWithin,
  guardFile,
  guardMappings,
  type MappingRecords,
  type Piece,
  rangesOf,
  skipReasonOf,
  wholePiece,
} from '../src/domain/move-plan.js';
import type {
  MoveIntent,
  MoveMethod,
  MovePlan,
  MoveRequest,
  PrepareMovesTask,
  PrepareOutcome,
  SkipReason,
} from '../src/domain/move-tasks.js';
import { MIB, roundUp } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { openMount } from '../src/kernel/donor-directory.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import {
  type FileStatus,
  fileAttributes,
  fileMappings,
  fileStatus,
  hasExtendedAttribute,
} from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { type XfsGeometry, xfsGeometry } from '../src/kernel/swap-extents.js';
import { finishWriteBack } from '../src/kernel/write-back.js';
import { checksumPiece, copyToDonor } from './move-copy.js';
import { Donors, type ReservedDonor } from './move-donors.js';
import { Pace, Stopped } from './move-pace.js';
import { settle } from './settle.js';

/** ext4's largest mapping; what a donor takes while its piece moves. */
const PIECE_BYTES_MAX = 128 * MIB;
const OPT_OUT_ATTRIBUTE = 'user.dynamicfs.nodefrag';
/**
 * A change must show in the times, which have the step of the kernel's clock (10 ms at most), or of
 * a second where the inode has no room for more.
 */
const CLOCK_STEP_MS = 20;
const COARSE_CLOCK_STEP_MS = 2000;
const WHOLE_FILE = { startBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER };

export default (task: PrepareMovesTask) => settle(() => prepareMoves(task));

interface Group {
  readonly task: PrepareMovesTask;
  readonly mount: OpenFile;
  readonly donors: Donors;
  readonly pace: Pace;
  readonly geometry: XfsGeometry | null;
  readonly method: MoveMethod;
  /** `device:inode` of what is swapped to. */
  readonly swapFiles: ReadonlySet<string>;
}

export interface Candidate {
  readonly request: MoveRequest;
  readonly file: OpenFile;
  readonly status: FileStatus;
  readonly records: MappingRecords;
  readonly piece: Piece;
  readonly plan: MovePlan;
}

/**
 * @returns one outcome per file, in order.
 * @throws MaintenanceError when the mount itself is not there or refuses donors.
 */
export function prepareMoves(task: PrepareMovesTask): PrepareOutcome[] {
  using mount = openMount(task);
  using donors = new Donors(mount, task.groupName);
  const geometry = task.fsType === 'xfs' ? xfsGeometry(mount) : null;
  const method = methodOf(task, geometry);
  const pace = new Pace(task.control);
  const group = { task, mount, donors, pace, geometry, method, swapFiles: swapFiles() };
  const outcomes = task.files.map((request, index): PrepareOutcome => {
    if (pace.isStopped) return { kind: 'not-begun' };
    try {
      return prepareOne(group, request, index);
    } catch (cause) {
      if (cause instanceof Stopped) return { kind: 'not-begun' };
      const error = asMaintenanceError(cause);
      const reason = skipReasonOf(error);
      if (reason) return { kind: 'skipped', reason, fragmentCount: null };
      return { kind: 'failed', error: error.toWire() };
    }
  });
  if (!outcomes.some(({ kind }) => kind === 'ready')) donors.discardShared();
  crashPoint('move-prepared');
  return outcomes;
}

function methodOf({ fsType }: PrepareMovesTask, geometry: XfsGeometry | null): MoveMethod {
  if (fsType === 'ext4') return 'move-extents';
  if (fsType === 'btrfs') return 'defragment-range';
  return geometry?.canExchangeRanges ? 'commit-range' : 'swap-extents';
}

function prepareOne(group: Group, request: MoveRequest, index: number): PrepareOutcome {
  const file = openByHandle(group.mount, request.handle, constants.O_RDONLY);
  try {
    const { task } = group;
    const found = examine(group, request, file);
    if ('reason' in found) return { kind: 'skipped', ...found };
    if (task.dryRun) return { kind: 'planned', plan: found.plan };
    if (freeBytes(group.mount) - found.plan.moveBytes < task.freeBytesMin) {
      return { kind: 'skipped', reason: 'no-space', fragmentCount: found.plan.fragmentsBefore };
    }
    return makeReady(group, found, index);
  } finally {
    closeSync(file.fd);
  }
}

interface Skip {
  readonly reason: SkipReason;
  readonly fragmentCount: number | null;
}

function examine(group: Group, request: MoveRequest, file: OpenFile): Candidate | Skip {
  const { task, method } = group;
  const status = fileStatus(file);
  const state = {
    isRegularFile: status.isRegularFile,
    sizeBytes: status.mark.sizeBytes,
    changedMsAgo: Date.now() - status.changedAtMs,
    attributes: fileAttributes(file),
    isSwapFile: group.swapFiles.has(`${status.deviceNumber}:${status.inode}`),
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

  const piece = pieceOf(method, fragments, request.startBytes);
  if (!piece) return { reason: 'contiguous', fragmentCount: fragments.length };
  const endBytes = piece.startBytes + piece.lengthBytes;
  const goesOn = method !== 'swap-extents' && pieceOf(method, fragments, endBytes) !== null;
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

function pieceOf(method: MoveMethod, fragments: Fragment[], startBytes: number): Piece | null {
  if (method === 'swap-extents') return wholePiece(fragments);
  return choosePiece(fragments, startBytes, PIECE_BYTES_MAX);
}

function makeReady(group: Group, candidate: Candidate, index: number): PrepareOutcome {
  const { task, method, pace, mount } = group;
  const { piece, plan, status, request } = candidate;
  const base: Omit<MoveIntent, 'checksum' | 'donor'> = {
    handle: request.handle,
    method,
    startBytes: piece.startBytes,
    lengthBytes: piece.lengthBytes,
    mark: status.mark,
  };
  if (method === 'defragment-range') {
    const checksum = task.verify ? checksumPiece(mount, candidate, 'direct', pace) : null;
    return { kind: 'ready', intent: { ...base, checksum, donor: null }, plan };
  }

  const reserved = reserve(group, candidate, index);
  const pieceFragmentsAfter = reserved.fragments.length;
  try {
    if (pieceFragmentsAfter >= piece.fragmentCount) {
      giveUp(group, reserved, candidate);
      return { kind: 'skipped', reason: 'no-better-place', fragmentCount: plan.fragmentsBefore };
    }
    const checksum = fill(group, candidate, reserved);
    if (method !== 'move-extents') closeSync(reserved.donor.fd);
    const intent = { ...base, checksum, donor: reserved.place };
    return { kind: 'ready', intent, plan: { ...plan, pieceFragmentsAfter } };
  } catch (cause) {
    giveUp(group, reserved, candidate);
    throw cause;
  }
}

function reserve(
  { method, donors, geometry }: Group,
  { piece, records, status, file }: Candidate,
  index: number,
): ReservedDonor {
  // Preallocated space behind the end of the file goes along where the whole file is swapped.
  const span = method === 'swap-extents' ? WHOLE_FILE : piece;
  const ranges = rangesOf(records, span, false);
  const last = ranges.at(-1);
  const lengthBytes = last ? last.startBytes + last.lengthBytes - piece.startBytes : 0;
  const shape = { piece: { startBytes: piece.startBytes, lengthBytes }, ranges };
  if (method === 'move-extents' || !geometry) return donors.reserveShared(shape);
  const reserved = donors.reserveOwn(shape, { file, status, geometry }, index);
  const endBytes = Math.min(piece.startBytes + piece.lengthBytes, status.mark.sizeBytes);
  const ofFile = method === 'swap-extents' ? status.mark.sizeBytes : endBytes - piece.startBytes;
  ftruncateSync(reserved.donor.fd, ofFile);
  return reserved;
}

/** @returns the checksum of the piece, null without verification. */
function fill(group: Group, candidate: Candidate, reserved: ReservedDonor): string | null {
  const { task, method, mount, pace } = group;
  if (method !== 'move-extents') {
    const checksum = copyToDonor(mount, candidate, reserved.donor, pace);
    return task.verify ? checksum : null;
  }
  return task.verify ? checksumPiece(mount, candidate, 'cached', pace) : null;
}

function giveUp({ method, donors }: Group, reserved: ReservedDonor, { piece }: Candidate): void {
  if (method === 'move-extents') donors.release(reserved, piece);
  else donors.discard(reserved);
}

function freeBytes(mount: OpenFile): number {
  const { bavail, bsize } = statfsSync(`/proc/self/fd/${mount.fd}`);
  return bavail * bsize;
}

/** Source: proc_swaps(5). Empty where it cannot be read: the kernel refuses to move a swap file. */
function swapFiles(): ReadonlySet<string> {
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
