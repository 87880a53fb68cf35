/**
 * What a pool of one million extents costs: to open, to look at, to analyse, to allocate from.
 *
 * Limits: `defrag analyze` 5 s and 300 MB, opening 300 ms, 20,000 allocations a second on a free map of
 * about a million runs: extents where one run holds them, else runs, of which an extent of 4 MiB takes
 * some twenty. Commands run from the shell, cold (page cache dropped) and warm. Memory is what the
 * process itself held at most (VmHWM). Allocations are reserved and taken into use in transactions of
 * 1,000, with the commit, on a copy of the catalogue.
 */

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { ExtentPool } from '../dist/index.js';
import { measureCommand, measureCommandMemory } from './support/child.mjs';
import { KIB, logUniform, MIB, row, seededRandom, timeMs } from './support/figures.mjs';
import { makeLargePool } from './support/large-pool.mjs';
import { dropCaches } from './support/page-cache.mjs';

export const title = 'A pool of one million extents, 20 % of them fragmented.';

const EXTENT_COUNT = 1_000_000;
const REPEAT_COUNT = 3;
const ALLOCATIONS_PER_TRANSACTION = 1_000;
const TRANSACTION_COUNT = 10;
const OTHER_COMMANDS = [['status'], ['defrag', 'status'], ['trim', 'status'], ['disk', 'list']];

export async function run({ directory, say }) {
  say(`making ${EXTENT_COUNT} extents, which takes a minute or two`);
  const pool = await makeLargePool(directory, EXTENT_COUNT);
  const env = { DYNAMICFS_STATE_DIR: join(directory, 'state') };
  const rows = [];

  say('commands');
  const analyze = ['defrag', 'analyze', '--pool', pool];
  for (const cache of ['cold', 'warm']) {
    const seconds = repeat(() => {
      if (cache === 'cold') dropCaches([pool]);
      return measureCommand(analyze, env).wallMs / 1000;
    });
    rows.push(row(`\`defrag analyze\`, ${cache}`, 's', seconds, { below: 5 }));
  }
  const memory = repeat(() => measureCommandMemory(analyze, env) / 1e6);
  rows.push(row('`defrag analyze`, memory', 'MB', memory, { below: 300 }));
  for (const command of OTHER_COMMANDS) {
    const args = [...command, '--pool', pool];
    const seconds = repeat(() => measureCommand(args, env).wallMs / 1000);
    rows.push(row(`\`${command.join(' ')}\`, warm`, 's', seconds));
  }

  say('opening and allocating');
  rows.push(...(await openRows(pool)));
  rows.push(...(await allocationRows(directory, pool)));
  return rows;
}

function repeat(measure) {
  return Array.from({ length: REPEAT_COUNT }, measure);
}

async function openRows(path) {
  const rows = [];
  for (const cache of ['cold', 'warm']) {
    const times = [];
    for (let count = 0; count < REPEAT_COUNT; count += 1) {
      if (cache === 'cold') dropCaches([path]);
      let pool;
      times.push(await timeMs(() => (pool = ExtentPool.open(path))));
      await pool.close();
    }
    rows.push(row(`opening for writing, ${cache}`, 'ms', times, { below: 300 }));
  }
  return rows;
}

async function allocationRows(directory, path) {
  const kinds = [
    ['4 to 256 KiB', 4 * KIB, 256 * KIB],
    ['4 KiB to 4 MiB', 4 * KIB, 4 * MIB],
    ['4 MiB', 4 * MIB, 4 * MIB],
  ];
  const rows = [];
  for (const [kind, from, to] of kinds) {
    const copy = join(directory, `copy-${rows.length}`);
    cpSync(path, copy, { recursive: true });
    const pool = ExtentPool.open(copy);
    const { rates, runsEach } = allocate(pool.context, from, to);
    await pool.close();
    const each = `in ${runsEach.toFixed(1)} runs each`;
    const isSplit = runsEach >= 2;
    const target = { atLeast: 20_000 };
    rows.push(row(`extents of ${kind} allocated, ${each}`, '/s', rates, isSplit ? null : target));
    if (!isSplit) continue;
    const runRates = rates.map((rate) => rate * runsEach);
    rows.push(row(`free runs taken for extents of ${kind}`, '/s', runRates, target));
  }
  return rows;
}

/** @returns extents allocated a second in each transaction, and the mean number of runs of one. */
function allocate({ store, allocator }, fromBytes, toBytes) {
  const random = seededRandom(7);
  const diskIds = store.disks.all().map((disk) => disk.diskId);
  let runCount = 0;
  const rates = Array.from({ length: TRANSACTION_COUNT }, (_, index) => {
    const owner = `bench/${index}`;
    const startedAtMs = performance.now();
    store.transaction(() => {
      for (let count = 0; count < ALLOCATIONS_PER_TRANSACTION; count += 1) {
        const lengthBytes = Math.ceil(logUniform(random, fromBytes, toBytes) / (4 * KIB)) * 4 * KIB;
        const runs = allocator.reserve(diskIds[count % diskIds.length], lengthBytes, owner);
        if (!runs) throw new Error('the disks are full');
        runCount += runs.length;
      }
      store.space.takeReserved(owner);
    });
    return ALLOCATIONS_PER_TRANSACTION / ((performance.now() - startedAtMs) / 1000);
  });
  return { rates, runsEach: runCount / (TRANSACTION_COUNT * ALLOCATIONS_PER_TRANSACTION) };
}
