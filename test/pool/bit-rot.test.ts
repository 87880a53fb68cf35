/**
 * Random bit flips on any disk: in data, in the journal, in the superblock. A scrub finds each where it
 * matters, repairs it from another replica or from the catalogue, or reports the object by its name.
 * What was flipped in free space matters to nobody.
 */

import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeMoveControl } from '../../src/domain/move-tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { pickForScrub, verifyPicked } from '../../src/pool/extent-pool/scrub.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { repairForScrub } from '../../src/processors/repairs.js';
import {
  backingFiles,
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

/** Flips one bit of what is in use there. */
function flip(pool: ExtentPool, place: 'data' | 'journal' | 'superblock', pick: number): void {
  const { store } = pool.context;
  const disks = store.disks.all();
  const disk = disks[pick % disks.length];
  if (!disk) return;
  const runs =
    place === 'superblock'
      ? [{ startBytes: (pick % 2) * 512 * KIB, lengthBytes: 300 }]
      : place === 'journal'
        ? store.disks.journalSegments(disk.diskId).map(({ startBytes }) => ({
            startBytes,
            lengthBytes: disk.journalTailBytes,
          }))
        : [...store.fragmentation.mapRuns(disk.diskId)].filter(
            ({ kind }) => kind === 'contiguous' || kind === 'fragment',
          );
  const run = runs[pick % runs.length];
  if (!run) return;
  const at = run.startBytes + (pick % run.lengthBytes);
  patchFile(join(disk.path, 'dynamicfs.data'), at, (bytes) => {
    bytes[0] = (bytes[0] ?? 0) ^ (1 << (pick % 8));
  });
}

it('is found and repaired, or reported by name, wherever it is', async () => {
  const flips = fc.array(
    fc.tuple(
      fc.constantFrom('data' as const, 'data' as const, 'journal' as const, 'superblock' as const),
      fc.nat(1 << 30),
    ),
    { minLength: 1, maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(flips, async (places) => {
      let pool = makePool({ diskCount: 2, replicaCount: 2, capacityBytes: 32 * MIB });
      const files = SIZES.map((bytes, n) => [`file ${n}`, content(n, bytes)] as const);
      await putFiles(pool, Object.fromEntries(files));
      const before = await inventory(pool);
      // Never both slots of one disk: such a disk is not recognised, and that is another test.
      const slots = new Set<number>();
      for (const [place, pick] of places) {
        if (place === 'superblock' && slots.has(pick % 2)) continue;
        if (place === 'superblock') slots.add(pick % 2);
        flip(pool, place, pick);
      }
      await scrub(pool);
      const left = pool.context.store.repairs.named(100);
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
      expect(pool.context.store.repairs.all()).toEqual([]);
      expectSound(pool);
      // The journals speak for every object again: without its catalogue the pool is the same.
      pool = await reopenPool(pool);
      for (const { diskId } of pool.context.store.disks.all()) {
        expect(verifyDiskRecords(pool.context, diskId, { runId: 1, repair: false })).toBe('good');
      }
      await closePool(pool);
    }),
    { numRuns: 8 },
  );
});

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
