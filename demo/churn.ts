/**
 * Wears a pool as use does: small objects come first, expire a few at a time, and larger ones take
 * their place.
 *
 * What expires leaves holes of its own size all over the disks. What comes next is larger than any of
 * them, and has to be split over several.
 */

import { lstatSync } from 'node:fs';
import { type ExtentPool, MaintenanceError, type PutEntry } from '../src/index.js';
import { randomNumbers, type SourceFile } from './source-files.js';

/** Where each object came from, by name. */
export type Manifest = Map<string, string>;

/** Above what is called for, since the room made at the end takes some of it back. */
const RATIO_WANTED = 0.36;
const ROUNDS_MAX = 40;
const SMALL_BYTES_MAX = 256 * 1024;
const LARGE_BYTES_MIN = 768 * 1024;
const EXPIRED_SHARE = 0.3;
/** At the end some room is made, as a pool in use has. */
const LEFT_FREE_SHARE = 0.2;

export async function churnUntilFragmented(
  pool: ExtentPool,
  files: readonly SourceFile[],
  say: (line: string) => void,
): Promise<Manifest> {
  const random = randomNumbers(7);
  const small = files.filter((file) => file.sizeBytes <= SMALL_BYTES_MAX);
  const large = files.filter((file) => file.sizeBytes >= LARGE_BYTES_MIN);
  if (small.length === 0 || large.length === 0) throw new Error('too few files to draw on');
  const manifest: Manifest = new Map();
  const largeSupply = endless('large', large);
  await fill(pool, endless('small', small), manifest);
  say(`Filled with small files: ${describe(pool)}`);
  for (let round = 1; pool.analyze().fragmentationRatio <= RATIO_WANTED; round += 1) {
    if (round > ROUNDS_MAX) throw new Error('the pool does not get fragmented on this machine');
    removeSome(pool, manifest, (name) => name.startsWith('small') && random() < EXPIRED_SHARE);
    await fill(pool, largeSupply, manifest);
    say(`Small files expired, large ones came (${round}): ${describe(pool)}`);
  }
  removeSome(pool, manifest, () => random() < LEFT_FREE_SHARE);
  say(`Deleted ${LEFT_FREE_SHARE * 100} %: ${describe(pool)}`);
  return manifest;
}

function describe(pool: ExtentPool): string {
  const { extentCount, fragmentationRatio } = pool.analyze();
  const disks = pool.disks();
  const usedBytes = disks.reduce((sum, disk) => sum + disk.usedBytes, 0);
  const capacityBytes = disks.reduce((sum, disk) => sum + disk.capacityBytes, 0);
  const percent = (ratio: number) => `${(ratio * 100).toFixed(1)} %`;
  return `${extentCount} extents, ${percent(usedBytes / capacityBytes)} full, ${percent(fragmentationRatio)} fragmented`;
}

/** Files in order, again and again, each time under another name. */
function* endless(folder: string, files: readonly SourceFile[]): Generator<PutEntry> {
  for (let round = 1; ; round += 1) {
    for (const { path } of files) {
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (!stats?.isFile()) continue;
      yield {
        name: `${folder}/${round}${path}`,
        kind: 'file',
        sizeBytes: stats.size,
        mode: stats.mode & 0o7777,
        mtimeMs: stats.mtimeMs,
        linkTarget: null,
        sourcePath: path,
        content: null,
      };
    }
  }
}

/** Stores until the pool says that it is full; that is the normal end. */
async function fill(
  pool: ExtentPool,
  supply: Generator<PutEntry>,
  manifest: Manifest,
): Promise<void> {
  const offered: PutEntry[] = [];
  const entries = (function* () {
    for (;;) {
      const { value } = supply.next();
      offered.push(value);
      yield value;
    }
  })();
  try {
    await pool.put(entries);
  } catch (cause) {
    if (!(cause instanceof MaintenanceError) || cause.code !== 'ERR_NO_SPACE') throw cause;
  }
  for (const { name, sourcePath } of offered) {
    if (sourcePath && pool.metadata(name)) manifest.set(name, sourcePath);
  }
}

function removeSome(pool: ExtentPool, manifest: Manifest, chosen: (name: string) => boolean): void {
  for (const name of [...manifest.keys()].filter(chosen)) {
    pool.remove(name);
    manifest.delete(name);
  }
}
