/** Pools for tests of the command line, made in this process, since that is faster, and closed. */

import { KIB, MIB } from '../../src/domain/units.js';
import {
  closePool,
  content,
  fragmentFreeSpace,
  makePool,
  type PoolShape,
  putFiles,
} from './pool-fixture.js';

export interface CliPool {
  readonly path: string;
  readonly disks: readonly string[];
}

export async function emptyPool(shape: PoolShape = {}): Promise<CliPool> {
  const pool = makePool({ capacityBytes: 64 * MIB, ...shape });
  const disks = pool.disks().map((disk) => disk.path);
  await closePool(pool);
  return { path: pool.path, disks };
}

/** `data/0` … `data/9`, each one extent in four pieces, with room to put them together. */
export async function fragmentedPool(shape: PoolShape = {}): Promise<CliPool> {
  const options = { capacityBytes: 64 * MIB, extentBytes: MIB, ...shape };
  const pool = makePool(options);
  await fragmentFreeSpace(pool, 256 * KIB);
  const files = Array.from({ length: 10 }, (_, n) => [`data/${n}`, content(n, MIB)] as const);
  await putFiles(pool, Object.fromEntries(files), { replicaCount: pool.disks().length });
  pool.remove('filler/even', true);
  const disks = pool.disks().map((disk) => disk.path);
  await closePool(pool);
  return { path: pool.path, disks };
}
