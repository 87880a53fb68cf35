/**
 * Storing and reading files, against cp, fsync and cat.
 *
 * 1 GiB of incompressible files, their sizes log-uniform from 4 KiB to 64 MiB. `put` is held against
 * `cp -r` and an fsync of every copy, since what `put` acknowledges is durable; `get` to files
 * against `cp -r` alone; reading every object in turn and dropping it against `cat > /dev/null`.
 * Limit: those programs; target 0.8, cold. Both sides alternate, each begins with the same files and,
 * when cold, after the page cache was dropped.
 */

import { randomFillSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ExtentPool, FileTree } from '../dist/index.js';
import { measureCommand, measureProgram } from './support/child.mjs';
import { KIB, logUniform, MIB, row, seededRandom, timeMs } from './support/figures.mjs';
import { dropCaches, filesIn, settle, syncFiles } from './support/page-cache.mjs';
import { removeScratch, scratchDirectory } from './support/scratch.mjs';

export const title = 'Storing and reading 1 GiB in files of 4 KiB to 64 MiB.';

const TOTAL_BYTES = 1024 * MIB;
const FILE_BYTES_MIN = 4 * KIB;
const FILE_BYTES_MAX = 64 * MIB;
const FILES_PER_DIRECTORY = 10;
const PAIR_COUNT = 3;
const TARGET = { atLeast: 0.8 };

export async function run({ directory, say }) {
  const source = join(directory, 'files');
  const fileCount = makeFiles(source);
  const env = { DYNAMICFS_STATE_DIR: join(directory, 'state') };
  const samples = new Map();
  const note = (what, value) => samples.set(what, [...(samples.get(what) ?? []), value]);
  for (const cache of ['cold', 'warm']) {
    for (let pair = 1; pair <= PAIR_COUNT; pair += 1) {
      say(`${fileCount} files, ${cache}, pair ${pair} of ${PAIR_COUNT}`);
      await measurePair({ source, cache, env, note });
    }
  }
  return rowsOf(samples);
}

/** Incompressible, so that nothing below can make less of it. */
function makeFiles(source) {
  const random = seededRandom(11);
  const content = randomFillSync(Buffer.alloc(FILE_BYTES_MAX));
  let leftBytes = TOTAL_BYTES;
  let count = 0;
  for (; leftBytes > 0; count += 1) {
    const wanted = Math.floor(logUniform(random, FILE_BYTES_MIN, FILE_BYTES_MAX));
    const sizeBytes = Math.min(wanted, leftBytes);
    const directory = join(source, String(Math.floor(count / FILES_PER_DIRECTORY)));
    mkdirSync(directory, { recursive: true });
    const at = Math.floor(random() * (FILE_BYTES_MAX - sizeBytes));
    writeFileSync(join(directory, `${count}.bin`), content.subarray(at, at + sizeBytes));
    leftBytes -= sizeBytes;
  }
  syncFiles([source]);
  return count;
}

/** One after the other, each into a place of its own that is removed before the next. */
async function measurePair({ source, cache, env, note }) {
  const prepare = (path) => {
    settle(path);
    if (cache === 'cold') dropCaches([path]);
    else readAll(path);
  };
  const measure = async (what, read, body) => {
    prepare(read);
    note(`${what}, ${cache}`, await timeMs(body));
  };

  const place = scratchDirectory('put-get');
  const copy = join(place, 'copy');
  await measure('cp + fsync', source, () => {
    copyTree(source, copy);
    syncFiles([copy]);
  });
  removeScratch(copy);
  const viaCommand = await makePool(join(place, 'by-command'));
  await measure('put, command', source, () => {
    measureCommand(['put', '--pool', viaCommand, source], env);
  });
  removeScratch(join(place, 'by-command'));
  const viaApi = await makePool(join(place, 'by-api'));
  const pool = ExtentPool.open(viaApi);
  await measure('put, API', source, () => pool.put(new FileTree(source)));

  const data = join(place, 'by-api', 'disk');
  await measure('cp', source, () => copyTree(source, copy));
  removeScratch(copy);
  const out = join(place, 'out');
  await measure('get, command', data, () => {
    measureCommand(['get', '--pool', viaApi, basename(source), out], env);
  });
  removeScratch(out);
  await measure('get, API', data, () => pool.get(basename(source), out));
  removeScratch(out);
  await measure('cat', source, () => readAll(source));
  await measure('read, API', data, () => readObjects(pool, basename(source)));
  await pool.close();
  removeScratch(place);
}

async function makePool(directory) {
  const path = join(directory, 'pool');
  const pool = ExtentPool.create(path);
  pool.addDisk(join(directory, 'disk'), { capacityBytes: 2 * TOTAL_BYTES });
  await pool.close();
  return path;
}

function copyTree(from, to) {
  measureProgram('cp', ['-r', from, to]);
}

function readAll(path) {
  measureProgram('cat', filesIn(path));
}

async function readObjects(pool, prefix) {
  for (const { name, kind } of pool.list(prefix)) {
    if (kind !== 'file') continue;
    for await (const chunk of pool.read(name)) if (chunk.length === 0) throw new Error(name);
  }
}

function rowsOf(samples) {
  const rows = [];
  for (const cache of ['cold', 'warm']) {
    const of = (what) => samples.get(`${what}, ${cache}`);
    const target = cache === 'cold' ? TARGET : null;
    for (const [limit, own] of [
      ['cp + fsync', ['put, command', 'put, API']],
      ['cp', ['get, command', 'get, API']],
      ['cat', ['read, API']],
    ]) {
      const rate = (ms) => TOTAL_BYTES / MIB / (ms / 1000);
      rows.push(row(`${limit}, ${cache}`, 'MiB/s', of(limit).map(rate)));
      for (const what of own) {
        const ratios = of(what).map((ms, pair) => of(limit)[pair] / ms);
        rows.push(row(`${what} to ${limit}, ${cache}`, 'ratio', ratios, target));
      }
    }
  }
  return rows;
}
