/** What the demo compares: fragmentation, cold reads, host space, and every byte. */

import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExtentPool } from '../src/index.js';
import { syncData } from '../src/kernel/file-io.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import type { Manifest } from './churn.js';

export interface Snapshot {
  readonly fragmentationRatio: number;
  readonly fragmentsPerExtent: number;
  readonly readBytesPerSec: number;
  readonly hostBytes: number;
}

const COLD_READS = 3;

/** st_blocks counts these, whatever the file system's block is. Source: stat(2). */
const STAT_BLOCK_BYTES = 512;

export async function measure(pool: ExtentPool): Promise<Snapshot> {
  const analysis = pool.analyze();
  const averages = analysis.disks.map((disk) => disk.averageFragmentsPerExtent);
  const backing = pool.disks().map((disk) => join(disk.path, 'dynamicfs.data'));
  return {
    fragmentationRatio: analysis.fragmentationRatio,
    fragmentsPerExtent: averages.reduce((sum, one) => sum + one, 0) / averages.length,
    readBytesPerSec: await bestRead(pool, backing),
    hostBytes: backing.reduce((sum, path) => sum + statSync(path).blocks * STAT_BLOCK_BYTES, 0),
  };
}

/** The machine may do other things meanwhile: the fastest of a few says most about the layout. */
async function bestRead(pool: ExtentPool, backing: readonly string[]): Promise<number> {
  let best = 0;
  for (let i = 0; i < COLD_READS; i += 1) best = Math.max(best, await readCold(pool, backing));
  return best;
}

/** Reads every object once, in the order of names, after the pool's pages were dropped. */
async function readCold(pool: ExtentPool, backing: readonly string[]): Promise<number> {
  for (const path of backing) {
    const file = { fd: openSync(path, 'r'), path };
    syncData(file);
    dropPageCache(file, { startBytes: 0, lengthBytes: statSync(path).size });
    closeSync(file.fd);
  }
  const startedAtMs = performance.now();
  let readBytes = 0;
  for (const { name, kind } of pool.list()) {
    if (kind !== 'file') continue;
    for await (const chunk of pool.read(name)) readBytes += chunk.length;
  }
  return (readBytes / (performance.now() - startedAtMs)) * 1000;
}

/** @returns how many objects were compared, and the names of those that differ from their file. */
export async function verifyObjects(
  pool: ExtentPool,
  manifest: Manifest,
): Promise<{ count: number; wrong: string[] }> {
  const wrong: string[] = [];
  const originals = new Map<string, string>();
  for (const [name, path] of manifest) {
    const expected = originals.get(path) ?? (await sha256(createReadStream(path)));
    originals.set(path, expected);
    if ((await sha256(pool.read(name))) !== expected) wrong.push(name);
  }
  return { count: manifest.size, wrong };
}

async function sha256(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of content) hash.update(chunk);
  return hash.digest('hex');
}
