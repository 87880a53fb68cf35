/** `get`: objects to files, or one object to standard output. */

import { basename } from 'node:path';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { abortOnInterrupt } from './interrupt.js';
import { withPoolAtWork } from './pool-access.js';
import { startProgress } from './progress.js';
import { throwOnlyFailure } from './report-error.js';
import type { Output } from './schemas.js';

export interface FetchOptions {
  readonly force: boolean;
  readonly quiet: boolean;
}

export function fetchObjects(
  poolPath: string,
  asked: string,
  destination: string | null,
  options: FetchOptions,
): Promise<Output<'get'>> {
  const name = asked.replace(/\/+$/, '');
  return withPoolAtWork(poolPath, 'read-extents', async (pool) => {
    if (destination === '-') return await toStandardOutput(pool, name);
    const total = pool.list(name).reduce((sum, object) => sum + object.sizeBytes, 0);
    const progress = await startProgress({
      label: 'get',
      unit: 'bytes',
      total,
      quiet: options.quiet,
    });
    const interrupt = abortOnInterrupt();
    try {
      const report = await pool.get(name, destination ?? basename(name), {
        force: options.force,
        signal: interrupt.signal,
        onProgress: (bytes, count) => progress.update(bytes, `${count} objects`),
      });
      throwOnlyFailure(report.objectCount, report.failed);
      const { objectCount, readBytes } = report;
      const failed = report.failed.map((one) => ({
        name: one.name,
        error: { ...one.error, details: { ...one.error.details } },
      }));
      return { schemaVersion: 1, objectCount, readBytes, failed };
    } finally {
      interrupt.dispose();
      progress.stop();
    }
  });
}

async function toStandardOutput(pool: ExtentPool, name: string): Promise<Output<'get'>> {
  let readBytes = 0;
  for await (const chunk of pool.read(name, { reuseMemory: true })) {
    readBytes += chunk.length;
    // A reader that went away (head, for example) is no failure of ours.
    if (!(await written(chunk))) break;
  }
  return { schemaVersion: 1, objectCount: 1, readBytes, failed: [] };
}

function written(chunk: Uint8Array): Promise<boolean> {
  return new Promise((resolve, reject) => {
    process.stdout.write(chunk, (error) => {
      if (!error) resolve(true);
      else if ((error as NodeJS.ErrnoException).code === 'EPIPE') resolve(false);
      else reject(error);
    });
  });
}
