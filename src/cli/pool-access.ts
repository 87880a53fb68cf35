/** Opens the pool that a command names, and closes it however the command ends. */

import type { OpenMode } from '../pool/extent-pool/context.js';
import { ExtentPool } from '../pool/extent-pool/extent-pool.js';

export async function withPool<T>(
  path: string,
  mode: OpenMode,
  body: (pool: ExtentPool) => Promise<T> | T,
): Promise<T> {
  const pool = ExtentPool.open(path, { mode });
  try {
    return await body(pool);
  } finally {
    await pool.close();
  }
}
