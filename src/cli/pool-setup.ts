/** Makes pools, adds disks, and rebuilds a lost catalogue, for commands. */

import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MaintenanceError } from '../domain/errors.js';
import type { Tier } from '../domain/heat.js';
import { isBlockDevice } from '../kernel/block-device.js';
import { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { recoverPool } from '../pool/extent-pool/recover.js';
import { finishEvacuation } from '../pool/extent-pool/remove-disk.js';
import { withPool } from './pool-access.js';
import { registerPool } from './queue-link.js';
import type { DiskView, Output } from './schemas.js';
import { diskView } from './views.js';

export interface PoolRequest {
  readonly replicaCount: number;
  readonly extentBytes: number;
  readonly diskPaths: readonly string[];
  readonly devicePaths: readonly string[];
  /** For devices. */
  readonly force: boolean;
  readonly capacityBytes: number | null;
}

/** @throws MaintenanceError as `createPool` and `addDisk`; then there is neither pool nor disk. */
export async function createPoolWithDisks(
  path: string,
  request: PoolRequest,
): Promise<Output<'init'>> {
  const { extentBytes, replicaCount, capacityBytes } = request;
  const madeForPool = missing(resolve(path));
  const madeForDisks: string[] = [];
  const pool = ExtentPool.create(path, { extentBytes, replicaCount });
  try {
    for (const diskPath of request.diskPaths) {
      madeForDisks.push(...missing(resolve(diskPath)));
      pool.addDisk(diskPath, capacityBytes === null ? {} : { capacityBytes });
    }
    for (const devicePath of request.devicePaths) {
      requireDevice(devicePath);
      pool.addDisk(devicePath, { force: request.force });
    }
    registerPool(pool);
  } catch (cause) {
    await unmake(pool, madeForPool.at(-1) ?? null);
    removeEmpty(madeForDisks);
    throw cause;
  }
  await pool.close();
  return {
    schemaVersion: 1,
    kind: 'extent',
    poolId: pool.id,
    path: pool.path,
    extentBytes,
    replicaCount,
  };
}

/** @returns the directories that have to be made for `path`, the innermost first. */
function missing(path: string): string[] {
  const found: string[] = [];
  for (let at = path; !existsSync(at); at = dirname(at)) found.push(at);
  return found;
}

function removeEmpty(directories: readonly string[]): void {
  for (const directory of directories) {
    try {
      rmdirSync(directory);
    } catch {
      // Not made after all, or somebody uses it by now.
    }
  }
}

/** Safe while: nobody knows the pool but this process, which has just made it in an empty place. */
async function unmake(pool: ExtentPool, firstMade: string | null): Promise<void> {
  const { context, path } = pool;
  for (const disk of context.store.disks.all()) finishEvacuation(context, disk);
  await pool.close();
  if (firstMade !== null) rmSync(firstMade, { recursive: true });
  else for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true });
}

export interface DiskRequest {
  readonly path: string;
  /** The user says that it is one; a device is recognised without that too. */
  readonly isDevice: boolean;
  readonly force: boolean;
  readonly capacityBytes: number | null;
  readonly tier: Tier;
}

export function addDiskToPool(poolPath: string, request: DiskRequest): Promise<DiskView> {
  const { path, isDevice, force, capacityBytes, tier } = request;
  if (isDevice) requireDevice(path);
  const capacity = capacityBytes === null ? {} : { capacityBytes };
  return withPool(poolPath, 'write', (pool) =>
    diskView(pool.addDisk(path, { tier, force, ...capacity })),
  );
}

/** A directory would be made where somebody mistyped the name of a device. */
function requireDevice(path: string): void {
  if (isBlockDevice(path)) return;
  throw new MaintenanceError('ERR_USAGE', `${path} is no block device`, {
    nextStep: '`lsblk` lists the devices; a directory is given with --disk.',
  });
}

export async function recover(
  poolPath: string,
  diskPaths: readonly string[],
): Promise<Output<'recover'>> {
  const report = await recoverPool(resolve(poolPath), diskPaths);
  await withPool(poolPath, 'read', registerPool);
  return {
    schemaVersion: 1,
    poolId: report.poolId,
    objectCount: report.objectCount,
    extentCount: report.extentCount,
    incompleteObjects: [...report.incompleteObjects],
    missingDisks: [...report.missingDisks],
  };
}
