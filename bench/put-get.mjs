/**
 * Storing and reading files, against cp, fsync and cat.
 *
 * 1 GiB of incompressible files, their sizes log-uniform from 4 KiB to 64 MiB. `put` is held against
 * `cp -r` and an fsync of every copy, since what `put` acknowledges is durable; `get` to files
 * against `cp -r` alone; reading every object in turn and dropping it against `cat > /dev/null`, which
 * reuses one buffer: so `reuseMemory` is held against the target, and pieces with memory of their own
 * are only told. Limit: those programs; target 0.8, cold. Each begins with the same files and, when
 * cold, after the page cache was dropped; every other round goes through them in reverse.
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
const ROUND_COUNTS = { cold: 6, warm: 3 };
const TARGET = { atLeast: 0.8 };
const READ_REUSING = 'read, memory reused';
const READ_OWN = 'read, pieces of their own';

export async function run({ directory, say }) {
  const source = join(directory, 'files');
  const fileCount = makeFiles(source);
  const env = { DYNAMICFS_STATE_DIR: join(directory, 'state') };
  const samples = new Map();
  const note = (what, value) => samples.set(what, [...(samples.get(what) ?? []), value]);
  for (const [cache, roundCount] of Object.entries(ROUND_COUNTS)) {
    for (let round = 1; round <= roundCount; round += 1) {
      say(`${fileCount} files, ${cache}, round ${round} of ${roundCount}`);
      await measureRound({ source, cache, env, note, reversed: round % 2 === 0 });
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

/** One after the other; what a side leaves is removed before the next one begins. */
async function measureRound({ source, cache, env, note, reversed }) {
  const place = scratchDirectory('put-get');
  const measure = async (sides) => {
    for (const { what, reads, leaves, body } of reversed ? sides.toReversed() : sides) {
      settle(place);
      if (cache === 'cold') dropCaches([reads]);
      else readAll(reads);
      note(`${what}, ${cache}`, await timeMs(body));
      if (leaves) removeScratch(leaves);
    }
  };
  const pools = { command: join(place, 'by-command'), api: join(place, 'by-api') };
  const viaCommand = await makePool(pools.command);
  const pool = ExtentPool.open(await makePool(pools.api));
  await measure(putSides({ source, env, copy: join(place, 'copy'), pool, viaCommand }));
  removeScratch(pools.command);
  const data = join(pools.api, 'disk');
  await measure(getSides({ source, env, data, place, pool }));
  await measure(readSides({ source, data, pool }));
  await pool.close();
  removeScratch(place);
}

function putSides({ source, env, copy, pool, viaCommand }) {
  const copyDurably = () => {
    copyTree(source, copy);
    syncFiles([copy]);
  };
  const byCommand = () => measureCommand(['put', '--pool', viaCommand, source], env);
  return [
    { what: 'cp + fsync', reads: source, leaves: copy, body: copyDurably },
    { what: 'put, command', reads: source, leaves: null, body: byCommand },
    { what: 'put, API', reads: source, leaves: null, body: () => pool.put(new FileTree(source)) },
  ];
}

function getSides({ source, env, data, place, pool }) {
  const [copy, out] = [join(place, 'copy'), join(place, 'out')];
  const name = basename(source);
  const byCommand = () => measureCommand(['get', '--pool', pool.path, name, out], env);
  return [
    { what: 'cp', reads: source, leaves: copy, body: () => copyTree(source, copy) },
    { what: 'get, command', reads: data, leaves: out, body: byCommand },
    { what: 'get, API', reads: data, leaves: out, body: () => pool.get(name, out) },
  ];
}

function readSides({ source, data, pool }) {
  const read = (options) => () => readObjects(pool, basename(source), options);
  return [
    { what: 'cat', reads: source, leaves: null, body: () => readAll(source) },
    { what: READ_REUSING, reads: data, leaves: null, body: read({ reuseMemory: true }) },
    { what: READ_OWN, reads: data, leaves: null, body: read({ reuseMemory: false }) },
  ];
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

async function readObjects(pool, prefix, options) {
  for (const { name, kind } of pool.list(prefix)) {
    if (kind !== 'file') continue;
    for await (const piece of pool.read(name, options)) {
      if (piece.length === 0) throw new Error(name);
    }
  }
}

function rowsOf(samples) {
  const rows = [];
  for (const cache of ['cold', 'warm']) {
    const of = (what) => samples.get(`${what}, ${cache}`);
    for (const [limit, own] of [
      ['cp + fsync', ['put, command', 'put, API']],
      ['cp', ['get, command', 'get, API']],
      ['cat', [READ_REUSING, READ_OWN]],
    ]) {
      const rate = (ms) => TOTAL_BYTES / MIB / (ms / 1000);
      rows.push(row(`${limit}, ${cache}`, 'MiB/s', of(limit).map(rate)));
      for (const what of own) {
        const ratios = of(what).map((ms, round) => of(limit)[round] / ms);
        const target = cache === 'cold' && what !== READ_OWN ? TARGET : null;
        rows.push(row(`${what} to ${limit}, ${cache}`, 'ratio', ratios, target));
      }
    }
  }
  return rows;
}
