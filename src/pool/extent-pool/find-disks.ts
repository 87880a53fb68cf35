/** Finds the disks of a pool without its catalogue, and reads what their journals say. */

import { openSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import type { ByteRun } from '../../domain/units.js';
import { isBlockDevice } from '../../kernel/block-device.js';
import { notAnswering } from '../../kernel/bounded-io.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { diskAnswers } from '../../kernel/probe-disk.js';
import type { DiskKind } from '../../store/disks.js';
import { backingPath } from './data-file.js';
import { findDeviceByUuid, readDeviceSuperblock } from './device-disk.js';
import { diskTimeoutMs } from './disk-calls.js';
import { readJournal } from './disk-journal.js';
import type { JournalRecord } from './journal-frames.js';
import { patientFile } from './patient-file.js';
import { readSuperblock, type Superblock, type SuperblockMember } from './superblock.js';

export type ObjectRecord = Extract<JournalRecord, readonly ['object', ...unknown[]]>;
export type ExtentRecord = Extract<JournalRecord, readonly ['extent', ...unknown[]]>;

export interface FoundDisk {
  readonly kind: DiskKind;
  readonly path: string;
  readonly superblock: Superblock;
  readonly segments: readonly ByteRun[];
  readonly objects: ReadonlyMap<number, ObjectRecord>;
  readonly extents: ReadonlyMap<number, ExtentRecord>;
  readonly deletedObjectIds: ReadonlySet<number>;
}

/**
 * @returns the disks at these paths and those that they name as members, and the paths of members that
 *   were not found.
 */
export function findDisks(diskPaths: readonly string[]): { disks: FoundDisk[]; missing: string[] } {
  const disks = new Map<string, FoundDisk>();
  const members = new Map<string, string>();
  const tried = new Set<string>();
  const open: Place[] = diskPaths.map((path) => ({ path: resolve(path), member: null }));
  for (let next = open.shift(); next; next = open.shift()) {
    const { path: named, member } = next;
    const key = member?.uuid ?? named;
    if (disks.has(key) || tried.has(key)) continue;
    tried.add(key);
    const disk = member ? readMember(member) : readDisk(named);
    const first = disks.values().next().value;
    if (disk && first && first.superblock.poolId !== disk.superblock.poolId) {
      if (member) continue;
      throw new MaintenanceError(
        'ERR_DISK_MISMATCH',
        `${disk.path} belongs to pool ${disk.superblock.poolId}, not ${first.superblock.poolId}`,
        { nextStep: 'Name only disks of one pool.' },
      );
    }
    if (!disk) continue;
    disks.set(disk.superblock.diskUuid, disk);
    for (const known of disk.superblock.members) {
      members.set(known.uuid, known.path);
      open.push({ path: known.path, member: known });
    }
  }
  // By identity: a disk may have been found elsewhere, and its old place may hold another one.
  const missing = [...members].flatMap(([uuid, path]) => (disks.has(uuid) ? [] : [path]));
  if (disks.size === 0) {
    throw new MaintenanceError('ERR_USAGE', 'recover needs at least one disk of the pool', {
      nextStep: 'Name one with --disk DIRECTORY or DEVICE; it knows the others.',
    });
  }
  return { disks: [...disks.values()], missing };
}

/** Where to look, and for whom when nobody has named it. */
interface Place {
  readonly path: string;
  readonly member: SuperblockMember | null;
}

/** @returns null for a disk that nobody named and that cannot be read: it is missing. */
function readMember({ uuid, path, kind }: SuperblockMember): FoundDisk | null {
  const there = readOrNull(path);
  if (kind !== 'device' || there?.superblock.diskUuid === uuid) return there;
  const elsewhere = findDeviceByUuid(uuid, path);
  return elsewhere === null ? null : readOrNull(elsewhere);
}

function readOrNull(path: string): FoundDisk | null {
  try {
    return readDisk(path);
  } catch (cause) {
    if (cause instanceof MaintenanceError && cause.code !== 'ERR_INVARIANT') return null;
    throw cause;
  }
}

function readDisk(given: string): FoundDisk {
  const kind = isBlockDevice(given) ? 'device' : 'directory';
  const path = kind === 'device' ? realpathSync(given) : given;
  const backing = kind === 'device' ? path : backingPath(path);
  if (!diskAnswers(backing, diskTimeoutMs())) throw notAnswering(backing);
  let fd: number;
  try {
    fd = openSync(backing, 'r');
  } catch (cause) {
    throw fromNodeError('open', cause, backing);
  }
  using disk = patientFile({ fd, path: backing });
  const { file } = disk;
  const superblock = kind === 'device' ? readDeviceSuperblock(path) : readSuperblock(file);
  if (!superblock) {
    throw new MaintenanceError('ERR_NOT_A_POOL', `${backing} carries no dynamicfs superblock`, {
      nextStep: 'Name the directory or device of a disk that belonged to the pool.',
    });
  }
  return {
    kind,
    path,
    superblock,
    ...replay(readJournal(file, superblock.journal, superblock.journalEpoch), superblock.journal),
  };
}

function replay(
  journal: ReturnType<typeof readJournal>,
  first: ByteRun,
): Pick<FoundDisk, 'segments' | 'objects' | 'extents' | 'deletedObjectIds'> {
  const segments = [first];
  const objects = new Map<number, ObjectRecord>();
  const extents = new Map<number, ExtentRecord>();
  const deletedObjectIds = new Set<number>();
  for (const { record, segment } of journal) {
    if (segments.at(-1) !== segment && segment !== first) segments.push(segment);
    if (record[0] === 'object') objects.set(record[1], record);
    else if (record[0] === 'deleted') deletedObjectIds.add(record[1]);
    else if (record[0] === 'moved-away') extents.delete(record[1]);
    else if (record[0] === 'extent') {
      // Deleted first, so that the map keeps the order of writing: later claims on space win.
      extents.delete(record[1]);
      extents.set(record[1], record);
    }
  }
  return { segments, objects, extents, deletedObjectIds };
}
