/** Makes pools and adds disks to them. */

import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  statfsSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import type { Tier } from '../../domain/heat.js';
import { formatBytes, roundDown } from '../../domain/units.js';
import { processActor } from '../../kernel/actor.js';
import { notAnswering } from '../../kernel/bounded-io.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import { diskAnswers } from '../../kernel/probe-disk.js';
import { syncDirectory } from '../../kernel/sync-directory.js';
import type { DiskRow } from '../../store/disks.js';
import { PoolStore } from '../../store/pool-store.js';
import type { PoolSettings } from '../../store/settings.js';
import { CATALOGUE_FILE } from './catalogue.js';
import type { PoolContext } from './context.js';
import { backingPath } from './data-file.js';
import { diskTimeoutMs } from './disk-calls.js';
import {
  BLOCK_BYTES,
  DISK_CAPACITY_BYTES_MIN,
  EXTENT_BYTES_DEFAULT,
  EXTENT_BYTES_MAX,
  EXTENT_BYTES_MIN,
  HEADER_BYTES,
  REPLICA_COUNT_MAX,
  reserveBytes,
} from './layout.js';
import { patientFile } from './patient-file.js';
import { rewriteJournal, tellMembers } from './snapshot.js';
import { readSuperblock, type Superblock, writeSuperblock } from './superblock.js';

export interface CreatePoolOptions {
  readonly extentBytes?: number;
  readonly replicaCount?: number;
  readonly clock?: () => number;
}

/**
 * Makes an empty pool without disks in a directory, which may exist if it is empty.
 *
 * @returns the new pool's id.
 * @throws MaintenanceError ERR_USAGE, ERR_TARGET_BUSY when there is something already.
 */
export function createPool(poolPath: string, options: CreatePoolOptions = {}): string {
  const path = resolve(poolPath);
  const extentBytes = options.extentBytes ?? EXTENT_BYTES_DEFAULT;
  const replicaCount = options.replicaCount ?? 1;
  checkLimits(extentBytes, replicaCount);
  if (existsSync(join(path, CATALOGUE_FILE))) {
    throw new MaintenanceError('ERR_TARGET_BUSY', `${path} is a pool already`, {
      nextStep: `Look at it with \`dynamicfs status --pool ${path}\`; nothing was changed.`,
    });
  }
  if (existsSync(path) && (!statSync(path).isDirectory() || readdirSync(path).length > 0)) {
    throw new MaintenanceError('ERR_USAGE', `${path} exists and is not an empty directory`, {
      nextStep: 'Name a new or empty directory for the pool.',
    });
  }
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fromNodeError('make pool directory', cause, path);
  }
  const store = new PoolStore(join(path, CATALOGUE_FILE), { create: true, actor: processActor() });
  const settings = newPoolSettings(randomUUID(), extentBytes, replicaCount, options.clock);
  store.settings.write(settings);
  store.close();
  syncDirectory(path);
  return settings.poolId;
}

export function newPoolSettings(
  poolId: string,
  extentBytes: number,
  replicaCount: number,
  clock: () => number = Date.now,
): PoolSettings {
  return {
    poolId,
    createdAtMs: clock(),
    extentBytes,
    replicaCount,
    defragEnabled: false,
    defragIntensity: 'low',
    defragThreadCount: 1,
    defragNotBeforeMs: 0,
  };
}

function checkLimits(extentBytes: number, replicaCount: number): void {
  const usage = (message: string, nextStep: string) =>
    new MaintenanceError('ERR_USAGE', message, { nextStep });
  const sizeIsGood =
    extentBytes >= EXTENT_BYTES_MIN &&
    extentBytes <= EXTENT_BYTES_MAX &&
    extentBytes % BLOCK_BYTES === 0;
  if (!sizeIsGood) {
    throw usage(
      `extent size ${extentBytes} is outside the limits`,
      `Choose a multiple of ${BLOCK_BYTES} from ${EXTENT_BYTES_MIN} to ${EXTENT_BYTES_MAX} bytes.`,
    );
  }
  checkReplicaCount(replicaCount);
}

/** @throws MaintenanceError ERR_USAGE. */
export function checkReplicaCount(replicaCount: number): void {
  if (Number.isInteger(replicaCount) && replicaCount >= 1 && replicaCount <= REPLICA_COUNT_MAX) {
    return;
  }
  throw new MaintenanceError('ERR_USAGE', `${replicaCount} replicas`, {
    nextStep: `Choose 1 to ${REPLICA_COUNT_MAX} replicas.`,
  });
}

export interface AddDiskOptions {
  /** Absent: all that the file system of the directory has free. */
  readonly capacityBytes?: number;
  readonly tier?: Tier;
  /** Takes a device whatever it carries; never one that is mounted or held. */
  readonly force?: boolean;
}

/**
 * Makes a directory a disk of the pool: a sparse backing file with superblock and journal.
 *
 * @returns the disk's id in this pool.
 * @throws MaintenanceError ERR_DISK_IN_USE, ERR_USAGE, ERR_NO_SPACE, ERR_PERMISSION; the directory
 *   is then as it was.
 */
export function addDisk(context: PoolContext, path: string, options: AddDiskOptions = {}): number {
  const directory = resolve(path);
  for (const asked of [directory, backingPath(directory)]) {
    if (!diskAnswers(asked, diskTimeoutMs())) throw notAnswering(directory);
  }
  refuseUsedDirectory(context, directory);
  let firstMade: string | undefined;
  try {
    firstMade = mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fromNodeError('make disk directory', cause, directory);
  }
  try {
    return addDirectory(context, directory, options);
  } catch (cause) {
    if (firstMade !== undefined) removeEmpty(directory, firstMade);
    throw cause;
  }
}

function addDirectory(context: PoolContext, directory: string, options: AddDiskOptions): number {
  const fileSystem = statfsSync(directory);
  const freeBytes = fileSystem.bavail * fileSystem.bsize;
  const capacityBytes = roundDown(options.capacityBytes ?? freeBytes, BLOCK_BYTES);
  if (capacityBytes < DISK_CAPACITY_BYTES_MIN) {
    throw new MaintenanceError(
      'ERR_USAGE',
      `${formatBytes(capacityBytes)} is too small for a disk`,
      {
        nextStep: `Give it at least ${formatBytes(DISK_CAPACITY_BYTES_MIN)} with --capacity.`,
      },
    );
  }
  const uuid = randomUUID();
  const { extentBytes, poolId, store } = context;
  const disk = {
    uuid,
    kind: 'directory' as const,
    path: directory,
    tier: options.tier ?? 'warm',
    capacityBytes,
    reserveBytes: reserveBytes(capacityBytes, extentBytes),
    granularityBytes: Math.max(BLOCK_BYTES, fileSystem.bsize),
    evacuating: false,
    journalEpoch: 0,
    journalTailBytes: 0,
    journalStale: false,
    addedAtMs: context.clock(),
  };
  const backing = createBackingFile(directory, blankSuperblock(disk, poolId, extentBytes));
  let diskId: number;
  try {
    diskId = store.transaction(() => insertDisk(context, disk));
  } catch (cause) {
    unlinkSync(backing);
    throw cause;
  }
  tellMembers(context);
  return diskId;
}

/** Removes the directories from `directory` up to `firstMade`, as long as they are empty. */
function removeEmpty(directory: string, firstMade: string): void {
  try {
    for (let at = directory; at.length >= firstMade.length; at = dirname(at)) rmdirSync(at);
  } catch {
    // Somebody uses one of them by now: it is theirs.
  }
}

/** Safe while: in a transaction. */
export function insertDisk(context: PoolContext, row: Omit<DiskRow, 'diskId'>): number {
  const { store } = context;
  const diskId = store.disks.add(row);
  const lengthBytes = row.capacityBytes - HEADER_BYTES;
  store.space.add(diskId, { startBytes: HEADER_BYTES, lengthBytes }, 'free');
  rewriteJournal(context, { ...row, diskId });
  return diskId;
}

export function inUse(message: string): MaintenanceError {
  return new MaintenanceError('ERR_DISK_IN_USE', message, {
    nextStep: 'Choose another one; nothing was changed.',
  });
}

function refuseUsedDirectory(context: PoolContext, directory: string): void {
  if (context.store.disks.all().some((disk) => disk.path === directory)) {
    throw inUse(`${directory} is a disk of this pool already`);
  }
  const backing = backingPath(directory);
  if (!existsSync(backing)) return;
  const fd = openSync(backing, 'r');
  try {
    const superblock = readSuperblock({ fd, path: backing });
    throw inUse(
      superblock
        ? `${backing} is disk ${superblock.diskUuid} of pool ${superblock.poolId}`
        : `${backing} exists and is not a disk of dynamicfs`,
    );
  } finally {
    closeSync(fd);
  }
}

/** O_EXCL: two processes that add the same directory at once cannot both win. */
function createBackingFile(directory: string, superblock: Superblock): string {
  const path = backingPath(directory);
  let fd: number;
  try {
    fd = openSync(path, 'wx', 0o600);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw inUse(`${path} exists already`);
    throw fromNodeError('make backing file', cause, path);
  }
  using backing = patientFile({ fd, path });
  try {
    ftruncateSync(fd, superblock.capacityBytes);
    writeSuperblock(backing.file, superblock);
    syncDirectory(directory);
    return path;
  } catch (cause) {
    // Nobody could tell how long that would take; the file is in nobody's way but a disk's.
    if (!backing.isAnswering) throw notAnswering(path, `delete ${path} once it answers`);
    unlinkSync(path);
    throw fromNodeError('make backing file', cause, path);
  }
}

/** Identifies the disk before it has a journal. */
export function blankSuperblock(
  disk: Omit<DiskRow, 'diskId'>,
  poolId: string,
  extentBytes: number,
): Superblock {
  const { uuid, capacityBytes, kind, tier } = disk;
  return {
    ...(kind === 'device' ? { kind } : {}),
    sequence: 0,
    poolId,
    diskUuid: uuid,
    capacityBytes,
    tier,
    extentBytes,
    replicaCount: 1,
    journal: { startBytes: 0, lengthBytes: 0 },
    journalEpoch: 0,
    members: [],
  };
}
