/** Makes pools, adds disks, and rebuilds a lost catalogue, for commands. */

import { resolve } from 'node:path';
import type { Tier } from '../domain/heat.js';
import { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { recoverPool } from '../pool/extent-pool/recover.js';
import { withPool } from './pool-access.js';
import { registerPool } from './queue-link.js';
import type { DiskView, Output } from './schemas.js';
import { diskView } from './views.js';

export interface PoolRequest {
  readonly replicaCount: number;
  readonly extentBytes: number;
  readonly diskPaths: readonly string[];
  readonly capacityBytes: number | null;
}

export async function createPoolWithDisks(
  path: string,
  request: PoolRequest,
): Promise<Output<'init'>> {
  const { extentBytes, replicaCount, capacityBytes } = request;
  const pool = ExtentPool.create(path, { extentBytes, replicaCount });
  try {
    registerPool(pool);
    for (const diskPath of request.diskPaths) {
      pool.addDisk(diskPath, capacityBytes === null ? {} : { capacityBytes });
    }
    return { schemaVersion: 1, poolId: pool.id, path: pool.path, extentBytes, replicaCount };
  } finally {
    await pool.close();
  }
}

export function addDiskToPool(
  poolPath: string,
  diskPath: string,
  options: { readonly capacityBytes: number | null; readonly tier: Tier },
): Promise<DiskView> {
  const { capacityBytes, tier } = options;
  return withPool(poolPath, 'write', (pool) =>
    diskView(pool.addDisk(diskPath, capacityBytes === null ? { tier } : { tier, capacityBytes })),
  );
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
