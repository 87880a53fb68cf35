/**
 * Random bit flips on any disk: in data, in the journal, in the superblock. A scrub finds each where it
 * matters, repairs it from another replica or from the catalogue, or reports the object by its name.
 * What was flipped in free space matters to nobody.
 */

import { closeSync, openSync, readSync } from 'node:fs';
import { crc32c } from '@node-rs/crc32';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeMoveControl } from '../../src/domain/move-tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { pickForScrub, verifyPicked } from '../../src/pool/extent-pool/scrub.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { repairForScrub } from '../../src/processors/repairs.js';
import type { DiskRow } from '../../src/store/disks.js';
import { canMount } from '../support/loop-mounts.js';
import {
  backingFiles,
  backingOf,
  closePool,
  content,
  expectSound,
  inventory,
  makePool,
  patchFile,
  putFiles,
  reopenPool,
} from '../support/pool-fixture.js';

const SIZES = [100, 5 * KIB, 70 * KIB, MIB, 2 * MIB + 1];

/** Verifies everything and repairs it. @returns how many replicas were bad. */
async function scrub(pool: ExtentPool): Promise<number> {
  const { context } = pool;
  const stopFlag = makeMoveControl();
  let badCount = 0;
  for (let after = 0; ; ) {
    const pick = pickForScrub(context, after, null, 4 * MIB);
    if (pick.lastExtentId === null) break;
    const verified = await verifyPicked(context, pick, {
      runId: 1,
      threadCount: 2,
      stopFlag,
    });
    if (!verified) throw new Error('nobody stopped it');
    badCount += verified.bad.length;
    await repairForScrub(context, 1, verified.bad);
    after = pick.lastExtentId;
  }
  for (const { diskId } of context.store.disks.all()) {
    verifyDiskRecords(context, diskId, { runId: 1, repair: true });
  }
  return badCount;
}

type Place = 'data' | 'journal' | 'superblock';

/** Where the slots of a superblock are: a device has two more at its end. */
function slotsOf({ kind, capacityBytes }: DiskRow): number[] {
  const bases = kind === 'device' ? [0, capacityBytes] : [0];
  return bases.flatMap((base) => [base, base + 512 * KIB]);
}

/**
 * Flips one bit of what is in use there.
 *
 * @param slots of superblocks that have a flip; never all of one disk: such a disk is not recognised,
 *   and that is another test.
 */
function flip(pool: ExtentPool, place: Place, pick: number, slots: Map<number, Set<number>>): void {
  const { store } = pool.context;
  const disks = store.disks.all();
  const disk = disks[pick % disks.length];
  if (!disk) return;
  const runs =
    place === 'superblock'
      ? slotsOf(disk).map((startBytes) => ({ startBytes, lengthBytes: 300 }))
      : place === 'journal'
        ? store.disks.journalSegments(disk.diskId).map(({ startBytes }) => ({
            startBytes,
            lengthBytes: disk.journalTailBytes,
          }))
        : [...store.fragmentation.mapRuns(disk.diskId)].filter(
            ({ kind }) => kind === 'contiguous' || kind === 'fragment',
          );
  // Not with the same remainder that chose the disk.
  const choice = Math.floor(pick / disks.length);
  const run = runs[choice % runs.length];
  if (!run) return;
  if (place === 'superblock') {
    const damaged = slots.get(disk.diskId) ?? new Set();
    // Nor the same one twice, which might flip the bit back.
    if (damaged.has(run.startBytes) || damaged.size === runs.length - 1) return;
    slots.set(disk.diskId, damaged.add(run.startBytes));
  }
  const at = run.startBytes + (choice % run.lengthBytes);
  patchFile(backingOf(disk), at, (bytes) => {
    bytes[0] = (bytes[0] ?? 0) ^ (1 << (choice % 8));
  });
}

const FLIPS = fc.array(
  fc.tuple(
    fc.constantFrom<Place>('data', 'data', 'journal', 'superblock', 'superblock'),
    fc.nat(1 << 30),
  ),
  { minLength: 1, maxLength: 12 },
);

async function expectFlipsFound(
  places: readonly (readonly [Place, number])[],
  devices: readonly number[],
): Promise<void> {
  let pool = makePool({ diskCount: 2, devices, replicaCount: 2, capacityBytes: 32 * MIB });
  const files = SIZES.map((bytes, n) => [`file ${n}`, content(n, bytes)] as const);
  await putFiles(pool, Object.fromEntries(files));
  const before = await inventory(pool);
  const slots = new Map<number, Set<number>>();
  for (const [place, pick] of places) flip(pool, place, pick, slots);
  await scrub(pool);
  const { store } = pool.context;
  // A disk with a damaged slot was named, and its slots are all good again.
  for (const [diskId] of slots) {
    const path = store.disks.get(diskId)?.path;
    expect(store.repairs.findings(100)).toContainEqual(
      expect.objectContaining({ diskPath: path, objectName: '(superblock)', what: 'repaired' }),
    );
  }
  for (const disk of store.disks.all()) expectSlotsGood(disk);
  const left = store.repairs.named(100);
  // Only what has no good copy at all may be left.
  for (const { extentId } of left) {
    expect(left.filter((one) => one.extentId === extentId)).toHaveLength(2);
  }
  for (const name of new Set(left.map(({ objectName }) => objectName))) {
    delete before[name];
    pool.remove(name);
  }
  expect(await inventory(pool)).toEqual(before);
  expect(await scrub(pool)).toBe(0);
  expect(store.repairs.all()).toEqual([]);
  expectSound(pool);
  // The journals speak for every object again: without its catalogue the pool is the same.
  pool = await reopenPool(pool);
  for (const { diskId } of pool.context.store.disks.all()) {
    expect(verifyDiskRecords(pool.context, diskId, { runId: 1, repair: false })).toBe('good');
  }
  await closePool(pool);
}

/** Each on its own, so that none is covered by another. */
function expectSlotsGood(disk: DiskRow): void {
  const fd = openSync(backingOf(disk), 'r');
  try {
    for (const at of slotsOf(disk)) {
      const slot = Buffer.alloc(4096);
      readSync(fd, slot, 0, slot.length, at);
      const body = slot.subarray(20, 20 + slot.readUInt32LE(12));
      expect(slot.readUInt32LE(16)).toBe(crc32c(body, crc32c(slot.subarray(8, 16))));
      expect(JSON.parse(body.toString())).toMatchObject({ diskUuid: disk.uuid });
    }
  } finally {
    closeSync(fd);
  }
}

it('is found and repaired, or reported by name, wherever it is', async () => {
  await fc.assert(
    fc.asyncProperty(FLIPS, (places) => expectFlipsFound(places, [])),
    { numRuns: 8 },
  );
});

it.skipIf(!canMount)('so it is on raw devices, whose superblock is at their end, too', async () => {
  await fc.assert(fc.asyncProperty(FLIPS, fc.constantFrom([1, 2], [2]), expectFlipsFound), {
    numRuns: 8,
    examples: EVERY_PLACE_OF_A_SUPERBLOCK,
  });
});

/** Of the first of two devices: each slot alone, and all but the last. */
const EVERY_PLACE_OF_A_SUPERBLOCK = [[0], [1], [2], [3], [0, 1, 2], [1, 2, 3]].map(
  (picked): [[Place, number][], number[]] => [
    picked.map((slot) => ['superblock', 2 * (slot + 4 * 25)]),
    [1, 2],
  ],
);

it('in both copies of an extent is reported with the name of the object', async () => {
  const pool = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 32 * MIB });
  await putFiles(pool, { whole: content(1, 100), rotten: content(2, MIB) });
  const [extent] = pool.extents('rotten');
  for (const replica of pool.context.store.extents.replicas(extent?.extentId ?? 0)) {
    const file = backingFiles(pool)[replica.diskId - 1] ?? '';
    patchFile(file, replica.runs[0]?.startBytes ?? 0, (bytes) => bytes.fill(1));
  }
  expect(await scrub(pool)).toBe(2);
  const { repairs } = pool.context.store;
  expect(repairs.findings(10).map(({ what, objectName }) => `${objectName} ${what}`)).toEqual([
    'rotten unrepairable',
    'rotten unrepairable',
    'rotten bad',
    'rotten bad',
  ]);
});
