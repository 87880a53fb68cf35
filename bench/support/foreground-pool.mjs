/** An extent pool on the file system that is measured, whose extents all lie in pieces. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ExtentPool } from '../../dist/index.js';
import { EXTENT_BYTES, extentsOf, freePending, makePool, scatter } from './fragmented-pool.mjs';

/** More than a run moves while it is watched. */
const EXTENT_COUNT = 240;
const PIECE_COUNT = 16;

export function poolPath(mountPath) {
  return join(mountPath, 'worn', 'pool');
}

export async function makeWornPool(mountPath) {
  const directory = join(mountPath, 'worn');
  mkdirSync(directory);
  const pool = await makePool(directory, { extentCount: EXTENT_COUNT, threadCount: 1 });
  await pool.close();
}

/** Puts every extent into pieces. @returns what tells how many bytes are in one piece since. */
export async function wearPool(mountPath) {
  await withPool(mountPath, (pool) => {
    freePending(pool);
    scatter(pool, PIECE_COUNT);
  });
  return () => withPool(mountPath, (pool) => extentsOf(pool).filter(isWhole).length * EXTENT_BYTES);
}

function isWhole({ fragmentCount }) {
  return fragmentCount === 1;
}

async function withPool(mountPath, body) {
  const pool = ExtentPool.open(poolPath(mountPath));
  try {
    return body(pool);
  } finally {
    await pool.close();
  }
}
