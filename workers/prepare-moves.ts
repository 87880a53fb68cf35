/**
 * Piscina task: look at files of a mounted file system, and get those that are worth it ready to
 * move. Nothing of a file is changed here. docs/file-moves.md has the protocol.
 */

import { closeSync, ftruncateSync } from 'node:fs';
import { asMaintenanceError, InvariantError, MaintenanceError } from '../src/domain/errors.js';
import { ofFile } from '../src/domain/failed-file.js';
import { type Piece, rangesOf, skipReasonOf } from '../src/domain/move-plan.js';
import type {
  MoveIntent,
  MoveMethod,
  MoveRequest,
  PrepareMovesTask,
  PrepareOutcome,
} from '../src/domain/move-tasks.js';
import { isGoodPlace } from '../src/domain/place-forecast.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { openMount } from '../src/kernel/donor-directory.js';
import { freeBytesOf } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { type XfsGeometry, xfsGeometry } from '../src/kernel/swap-extents.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';
import {
  type Candidate,
  type Examined,
  type Examiner,
  examineAll,
  readSwapFiles,
  WHOLE_FILE,
} from './move-candidate.js';
import { type ContentSource, checksumAll } from './move-content.js';
import {
  bufferedSource,
  type CopySource,
  cachedCopySource,
  cachedSource,
  closeReader,
  copySource,
  readPieceAhead,
  takeTurnToRead,
} from './move-copy.js';
import { Donors, type OpenDonor, type ReservedDonor } from './move-donors.js';
import { Pace, Stopped } from './move-pace.js';
import { settle } from './settle.js';
import { SpaceForecast } from './space-forecast.js';

export default (task: PrepareMovesTask) => settle(() => prepareMoves(task));

interface Group extends Examiner {
  readonly task: PrepareMovesTask;
  readonly mount: OpenFile;
  readonly donors: Donors;
  readonly pace: Pace;
  readonly geometry: XfsGeometry | null;
  /** Btrfs: what is free. */
  readonly space: SpaceForecast;
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
  const space = new SpaceForecast(task);
  const hasRoomFor = (pieceBytes: number) =>
    pace.isAtFullSpeed &&
    pieceBytes <= process.availableMemory() * MEMORY_SHARE &&
    space.isAmpleFor(pieceBytes);
  const swapFiles = readSwapFiles();
  const group = { task, mount, donors, pace, geometry, method, space, swapFiles, hasRoomFor };

  const steps: Step[] = [];
  while (steps.length < task.files.length) {
    const requests = task.files.slice(steps.length, steps.length + pace.filesAtOnce);
    steps.push(...prepareSome(group, requests, steps.length));
  }
  const reserved = steps.filter((step) => 'candidate' in step);
  const checksums = readContents(group, reserved);
  const outcomes = steps.map((step) =>
    'candidate' in step ? conclude(group, step, checksums) : step,
  );
  if (!outcomes.some(({ kind }) => kind === 'ready')) donors.discardShared();
  crashPoint('move-prepared');
  return outcomes;
}

/** Of the memory that is free, what the pages of a piece may take: other groups have one, too. */
const MEMORY_SHARE = 1 / 8;
const NOT_BEGUN: PrepareOutcome = { kind: 'not-begun' };

type Step = PrepareOutcome | Reserved;

/** A file that has a donor, or needs none, and whose content is still to be read. */
interface Reserved {
  readonly candidate: Candidate;
  readonly donor: ReservedDonor | null;
  /** Whether the page cache was asked for all of the piece. */
  readonly isReadAhead: boolean;
}

type Contents = ReadonlyMap<Reserved, string | MaintenanceError> | 'stopped';

/** @param firstIndex of the first request in the group. */
function prepareSome(group: Group, requests: readonly MoveRequest[], firstIndex: number): Step[] {
  const { mount, pace, geometry } = group;
  if (pace.isStopped) return requests.map(() => NOT_BEGUN);
  if (geometry?.move === 'none') {
    return requests.map(() => ({ kind: 'skipped', reason: 'unsupported', fragmentCount: null }));
  }
  return examineAll(group, mount, requests).map((found, index) => {
    const step = prepareOne(group, found, firstIndex + index);
    pace.breathe();
    return step;
  });
}

/** An error of its donor is one of the file. */
function outcomeOf(error: MaintenanceError, path: string | null): PrepareOutcome {
  const reason = skipReasonOf(error);
  if (reason) return { kind: 'skipped', reason, fragmentCount: null };
  const wire = error.toWire();
  return { kind: 'failed', error: path === null ? wire : ofFile(wire, path) };
}

/**
 * Reads what is to move, all files of the group side by side. Without verification as well, unless it
 * was read ahead: the kernel finds in the page cache what it would read piece by piece.
 */
function readContents(group: Group, reserved: readonly Reserved[]): Contents {
  const { task, mount, method, pace } = group;
  const copies: CopySource[] = [];
  const sources = reserved.map((one): ContentSource | MaintenanceError => {
    const { candidate, donor, isReadAhead } = one;
    try {
      if (isReadAhead) return { file: candidate.file, ranges: [] };
      if (method === 'move-extents') return cachedSource(candidate);
      if (method === 'defragment-range') return bufferedSource(candidate);
      if (!donor?.donor) throw new InvariantError('a copy without a donor');
      if (method === 'share-range') return cachedCopySource(candidate, donor.donor);
      const copy = copySource(mount, candidate, donor.donor);
      copies.push(copy);
      return copy;
    } catch (cause) {
      return asMaintenanceError(cause);
    }
  });
  using _turn = takeTurnToRead(group, reserved);
  try {
    const readable = sources.filter(
      (source): source is ContentSource => !(source instanceof MaintenanceError),
    );
    const checksums = checksumAll(readable, { pace, stoppable: true, hashes: task.verify });
    const bySource = new Map(readable.map((source, index) => [source, checksums[index]]));
    return new Map(
      reserved.map((one, index) => {
        const source = sources[index];
        if (!source || source instanceof MaintenanceError) return [one, source ?? unread()];
        return [one, bySource.get(source) ?? unread()];
      }),
    );
  } catch (cause) {
    if (cause instanceof Stopped) return 'stopped';
    throw cause;
  } finally {
    for (const copy of copies) closeReader(copy);
  }
}

function unread(): InvariantError {
  return new InvariantError('a source without a checksum');
}

function conclude(
  { task, method, donors }: Group,
  one: Reserved,
  contents: Contents,
): PrepareOutcome {
  const { candidate, donor } = one;
  const { request, piece, status, plan, file } = candidate;
  const result = contents === 'stopped' ? 'stopped' : contents.get(one);
  if (result === 'stopped' || result instanceof MaintenanceError) {
    if (donor) giveUp({ method, donors }, donor, piece);
    const outcome = result === 'stopped' ? NOT_BEGUN : outcomeOf(result, file.path);
    file[Symbol.dispose]();
    return outcome;
  }
  file[Symbol.dispose]();
  if (donor?.donor && hasOwnDonor(method)) closeSync(donor.donor.fd);
  const intent: MoveIntent = {
    handle: request.handle,
    method,
    startBytes: piece.startBytes,
    lengthBytes: piece.lengthBytes,
    checksum: task.verify ? (result ?? null) : null,
    mark: status.mark,
    donor: donor?.place ?? null,
  };
  return { kind: 'ready', intent, plan };
}

function methodOf({ fsType }: PrepareMovesTask, geometry: XfsGeometry | null): MoveMethod {
  if (fsType === 'ext4') return 'move-extents';
  if (fsType === 'btrfs') return 'defragment-range';
  return geometry === null || geometry.move === 'none' ? 'swap-extents' : geometry.move;
}

function prepareOne(group: Group, found: Examined, index: number): Step {
  if ('error' in found) return outcomeOf(found.error, found.path);
  if ('reason' in found) return { kind: 'skipped', ...found };
  const { file, plan } = found;
  const { task, mount, pace } = group;
  let step: Step | null = null;
  try {
    if (pace.isStopped) step = NOT_BEGUN;
    else if (task.dryRun) step = { kind: 'planned', plan };
    else if (freeBytesOf(mount) - plan.moveBytes < task.freeBytesMin) {
      step = { kind: 'skipped', reason: 'no-space', fragmentCount: plan.fragmentsBefore };
    } else step = reserveFor(group, found, index);
    return step;
  } catch (cause) {
    return outcomeOf(asMaintenanceError(cause), file.path);
  } finally {
    // Else it stays open until it was read.
    if (step === null || !('candidate' in step)) file[Symbol.dispose]();
  }
}

function reserveFor(group: Group, candidate: Candidate, index: number): PrepareOutcome | Reserved {
  const { piece, plan } = candidate;
  // What other files left becomes free with the next commit. Where others use the disk it is not
  // hurried, which would write all that they have to write, too: it comes while we rest.
  if (group.task.placeTry > 0 && !group.pace.givesWay) syncFileSystem(group.mount);
  if (group.method === 'defragment-range') {
    if (!group.space.hasPlaceFor(piece)) return noBetterPlace(candidate);
    const isReadAhead = readPieceAhead(group, candidate);
    const needsDonor = group.task.verify || !group.space.isAmpleFor(piece.lengthBytes);
    const donor = needsDonor ? group.donors.reserveClone(candidate, index) : null;
    return { candidate, donor, isReadAhead };
  }
  const donor = reserve(group, candidate, index);
  const pieceFragmentsAfter = donor.fragments.length;
  if (isGoodPlace(piece, pieceFragmentsAfter, group.task.placeTry)) {
    const withPlace = { ...candidate, plan: { ...plan, pieceFragmentsAfter } };
    const isReadAhead = group.method === 'move-extents' && readPieceAhead(group, candidate);
    return { candidate: withPlace, donor, isReadAhead };
  }
  giveUp(group, donor, piece);
  return noBetterPlace(candidate);
}

function noBetterPlace({ plan }: Candidate): PrepareOutcome {
  return { kind: 'skipped', reason: 'no-better-place', fragmentCount: plan.fragmentsBefore };
}

function reserve(
  { method, donors, geometry }: Group,
  { piece, records, status, file }: Candidate,
  index: number,
): OpenDonor {
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

function giveUp(
  { method, donors }: Pick<Group, 'method' | 'donors'>,
  reserved: ReservedDonor,
  piece: Piece,
): void {
  if (hasOwnDonor(method)) donors.discard(reserved);
  else donors.release(reserved, piece);
}

/** On ext4 a group shares one. */
function hasOwnDonor(method: MoveMethod): boolean {
  return method !== 'move-extents';
}
