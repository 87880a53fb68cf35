/** Makes the donors of a group: space for each piece, in the shape of the piece, holes included. */

import {
  closeSync,
  fchownSync,
  ftruncateSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { asMaintenanceError, InvariantError, MaintenanceError } from '../src/domain/errors.js';
import { type Fragment, fragmentsOf, fragmentsWithin } from '../src/domain/move-plan.js';
import { type DonorPlace, MOVE_GROUP_BYTES_MAX } from '../src/domain/move-tasks.js';
import { type ByteRun, roundUp } from '../src/domain/units.js';
import { allocate } from '../src/kernel/allocate.js';
import {
  below,
  type DirectoryHandle,
  makeClone,
  openDonor,
  openDonorDirectory,
  removeDonors,
} from '../src/kernel/donor-directory.js';
import { type FileStatus, fileMappings } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { punchHole } from '../src/kernel/punch-hole.js';
import { copyProject, type XfsGeometry } from '../src/kernel/swap-extents.js';
import type { Candidate } from './move-candidate.js';

/** ext4 wants the places in both files to be the same within a page. */
const PAGE_BYTES = 4096;

export interface DonorShape {
  readonly piece: ByteRun;
  /** What of the piece is allocated, in whole blocks. */
  readonly ranges: readonly ByteRun[];
}

export interface ReservedDonor {
  readonly place: DonorPlace;
  /** Null where it needs nothing more: it is closed. */
  readonly donor: OpenFile | null;
  readonly fragments: readonly Fragment[];
}

export type OpenDonor = ReservedDonor & { readonly donor: OpenFile };

/** The donors of one group. Disposing closes them; `discard` removes one. */
export class Donors implements Disposable {
  readonly #mount: OpenFile;
  readonly #groupName: string;
  #directory: DirectoryHandle | null = null;
  #shared: OpenFile | null = null;
  #sharedEndBytes = 0;
  #sharedSizeBytes = 0;

  constructor(mount: OpenFile, groupName: string) {
    this.#mount = mount;
    this.#groupName = groupName;
  }

  /** ext4: one donor serves a group, which saves a name and an inode per file. */
  reserveShared({ piece, ranges }: DonorShape): OpenDonor {
    const name = this.#groupName;
    this.#shared ??= openDonor(this.#donorDirectory(), name, true);
    const donor = this.#shared;
    const startBytes = roundUp(this.#sharedEndBytes, PAGE_BYTES) + (piece.startBytes % PAGE_BYTES);
    this.#sharedEndBytes = startBytes + piece.lengthBytes;
    this.#enlargeShared(donor);
    const place = { name, startBytes, runs: [] };
    try {
      return { donor, ...allocateShape(donor, place, { piece, ranges }) };
    } catch (cause) {
      this.release({ place, donor, fragments: [] }, piece);
      throw cause;
    }
  }

  /** In large steps, as a size costs nothing: MOVE_EXT wants the range to lie within it. */
  #enlargeShared(donor: OpenFile): void {
    if (this.#sharedEndBytes <= this.#sharedSizeBytes) return;
    this.#sharedSizeBytes = roundUp(this.#sharedEndBytes, MOVE_GROUP_BYTES_MAX);
    ftruncateSync(donor.fd, this.#sharedSizeBytes);
  }

  /**
   * Btrfs: the donor shares the old blocks, which so stay until the new ones are verified. A file
   * for each, since only at its end may a part of a block be shared.
   */
  reserveClone({ piece, file, status }: Candidate, index: number): ReservedDonor {
    const directory = this.#donorDirectory();
    const name = `${this.#groupName}-${index}`;
    const lengthBytes = Math.min(piece.lengthBytes, status.mark.sizeBytes - piece.startBytes);
    try {
      makeClone(directory, name, file, { startBytes: piece.startBytes, lengthBytes });
    } catch (cause) {
      throw notShareable(asMaintenanceError(cause));
    }
    return { donor: null, place: { name, startBytes: 0, runs: [] }, fragments: [] };
  }

  /** XFS: a file for each, near the inode of the file, whose owner quotas want it to have. */
  reserveOwn(
    shape: DonorShape,
    near: { readonly file: OpenFile; readonly status: FileStatus; readonly geometry: XfsGeometry },
    index: number,
  ): OpenDonor {
    const directory = this.#donorDirectory();
    const group = near.status.inode / near.geometry.inodesPerGroup;
    const prefix = groupDirectory(directory, group, near.geometry, this.#groupName);
    const name = `${prefix}${this.#groupName}-${index}`;
    const donor = openDonor(directory, name, true);
    try {
      fchownSync(donor.fd, near.status.userId, near.status.groupId);
      copyProject(near.file, donor);
      return { donor, ...allocateShape(donor, { name, startBytes: 0 }, shape) };
    } catch (cause) {
      closeSync(donor.fd);
      removeDonors(directory, [name]);
      throw cause;
    }
  }

  /** Gives back a range of the shared donor. */
  release({ donor, place }: ReservedDonor, piece: ByteRun): void {
    if (!donor) throw new InvariantError('a shared donor that is closed');
    punchHole(donor, { startBytes: place.startBytes, lengthBytes: piece.lengthBytes });
  }

  discard({ donor, place }: ReservedDonor): void {
    if (donor) closeSync(donor.fd);
    removeDonors(this.#donorDirectory(), [place.name]);
  }

  /** Removes the shared donor when no piece of the group uses it. */
  discardShared(): void {
    if (this.#shared) removeDonors(this.#donorDirectory(), [this.#groupName]);
  }

  [Symbol.dispose](): void {
    if (this.#shared) closeSync(this.#shared.fd);
    this.#directory?.[Symbol.dispose]();
  }

  #donorDirectory(): DirectoryHandle {
    this.#directory ??= openDonorDirectory(this.#mount, true);
    if (!this.#directory) throw new Error('the donor directory was just made');
    return this.#directory;
  }
}

/** A file without checksums (chattr +C) cannot share with a donor that has them. */
function notShareable(error: MaintenanceError): MaintenanceError {
  if (error.details.errnoName !== 'EINVAL') return error;
  const details = { ...error.details, errnoName: 'EOPNOTSUPP' };
  return new MaintenanceError('ERR_UNSUPPORTED', error.message, { details });
}

function allocateShape(
  donor: OpenFile,
  { name, startBytes: donorStartBytes }: { readonly name: string; readonly startBytes: number },
  { piece, ranges }: DonorShape,
): Omit<ReservedDonor, 'donor'> {
  for (const { startBytes, lengthBytes } of ranges) {
    const atBytes = donorStartBytes + startBytes - piece.startBytes;
    allocate(donor, { startBytes: atBytes, lengthBytes });
  }
  const whole = { startBytes: donorStartBytes, lengthBytes: piece.lengthBytes };
  const fragments = fragmentsWithin(fragmentsOf(fileMappings(donor, whole)), whole);
  const runs = fragments.map(({ physicalBytes, lengthBytes }) => ({
    startBytes: physicalBytes,
    lengthBytes,
  }));
  return { place: { name, startBytes: donorStartBytes, runs }, fragments };
}

/**
 * XFS puts a new file into the allocation group of its directory, and each new directory into the
 * next group: one directory per group keeps files where they are, and two threads apart.
 *
 * @returns the directory's name and a slash, or nothing when XFS gave that group no directory.
 *
 * Source: xfs_fsr(8), which does the same.
 */
function groupDirectory(
  directory: OpenFile,
  group: bigint,
  geometry: XfsGeometry,
  groupName: string,
): string {
  const path = (name: string): string => `${below(directory)}/${name}`;
  const isThere = (name: string): boolean =>
    statSync(path(name), { throwIfNoEntry: false })?.isDirectory() === true;
  const wanted = `ag${group}`;
  if (isThere(wanted)) return `${wanted}/`;
  for (let attempt = 0; attempt < geometry.groupCount; attempt += 1) {
    const temporary = `new-${groupName}-${attempt}`;
    mkdirSync(path(temporary), { mode: 0o700 });
    const inode = statSync(path(temporary), { bigint: true }).ino;
    const name = `ag${inode / geometry.inodesPerGroup}`;
    try {
      // Another thread may make the same at this moment: it replaces an empty one only.
      renameSync(path(temporary), path(name));
    } catch {
      rmdirSync(path(temporary));
    }
    if (isThere(wanted)) return `${wanted}/`;
  }
  return '';
}
