/**
 * Random histories: puts, replacements, removals, rewrites, evacuations, trims and reopenings, then
 * the catalogue is lost. What `recover` brings back from any one disk is what was there.
 */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { rewriteReplica } from '../../src/pool/extent-pool/rewrite.js';
import { rewriteJournal } from '../../src/pool/extent-pool/snapshot.js';
import { trimBatch } from '../../src/pool/extent-pool/trim.js';
import {
  closePool,
  content,
  expectSound,
  fileEntry,
  inventory,
  makePool,
  openPool,
  reopenPool,
} from '../support/pool-fixture.js';

const NAMES = ['a', 'b', 'c', 'd/e', 'd/f'];

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      names: fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
      sizeBytes: fc.constantFrom(0, 1, 4096, 70 * KIB, MIB, 3 * MIB + 1),
      replicaCount: fc.integer({ min: 1, max: 3 }),
      seed: fc.integer({ min: 0, max: 999 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('remove' as const), name: fc.constantFrom(...NAMES) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('move' as const),
      goal: fc.constantFrom('evacuate' as const, 'defrag' as const, 'repair' as const),
      pick: fc.nat(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'trim' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(pool: ExtentPool, action: Step): Promise<ExtentPool> {
  const { context } = pool;
  switch (action.kind) {
    case 'put': {
      const { names, sizeBytes, seed, replicaCount } = action;
      const entries = names.map((name) => fileEntry(name, content(`${name}${seed}`, sizeBytes)));
      await pool.put(entries, { replicaCount });
      return pool;
    }
    case 'remove':
      if (pool.metadata(action.name)) pool.remove(action.name);
      return pool;
    case 'move': {
      const all = context.store.disks
        .all()
        .flatMap(({ diskId }) => context.store.candidates.onDisk(0, diskId, 1000));
      const candidate = all[action.pick % Math.max(1, all.length)];
      if (candidate) await rewriteReplica(context, candidate, action.goal);
      return pool;
    }
    case 'trim':
      for (const disk of context.store.disks.all()) {
        await trimBatch(context, { disk, fromBytes: 0, bytesMax: 50 * MIB, secureErase: false });
      }
      return pool;
    case 'compact':
      for (const disk of context.store.disks.all()) rewriteJournal(context, disk);
      return pool;
    case 'reopen':
      return await reopenPool(pool);
  }
}

it('recover brings back what a random history left, from any one directory or device', {
  timeout: 300_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 25 }),
      fc.nat({ max: 2 }),
      async (steps, diskIndex) => {
        let pool = makePool({
          diskCount: 3,
          devices: [2, 3],
          extentBytes: MIB,
          capacityBytes: 64 * MIB,
        });
        for (const action of steps) pool = await take(pool, action);
        expectSound(pool);
        const before = await inventory(pool);
        const disk = pool.disks()[diskIndex]?.path ?? '';
        await closePool(pool);
        for (const name of readdirSync(pool.path)) {
          rmSync(join(pool.path, name), { recursive: true });
        }
        const report = await recoverPool(pool.path, [disk]);
        expect(report).toMatchObject({ incompleteObjects: [], missingDisks: [] });
        const again = openPool(pool.path);
        expect(await inventory(again)).toEqual(before);
        expectSound(again);
        await closePool(again);
      },
    ),
    { numRuns: 15, interruptAfterTimeLimit: 60_000 },
  );
});
