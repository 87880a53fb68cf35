/** Tiers by heat: up at one border, down at a lower one, and the same in SQL as in TypeScript. */

import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HEAT_HALF_LIFE_MS, TIERS, type Tier, touched } from '../../src/domain/heat.js';
import { nearestTier, tierByHeat } from '../../src/domain/tiering.js';
import { PoolStore } from '../../src/store/pool-store.js';
import { tempDirectory } from '../support/temp-directory.js';

const NOW_MS = 1_700_000_000_000;

function scoreOf(heat: number): number {
  return touched(null, NOW_MS, heat);
}

it.each<[number, Tier, Tier]>([
  [4, 'cold', 'hot'],
  [3.9, 'cold', 'warm'],
  [3.9, 'warm', 'warm'],
  [2, 'hot', 'hot'],
  [1.9, 'hot', 'warm'],
  [1, 'cold', 'warm'],
  [0.9, 'cold', 'cold'],
  [0.26, 'warm', 'warm'],
  [0.24, 'warm', 'cold'],
  [0.24, 'hot', 'cold'],
])('heat %d of an extent that is %s makes it %s', (heat, current, wanted) => {
  expect(tierByHeat(scoreOf(heat), current, NOW_MS)).toBe(wanted);
});

it('what just moved does not move back while nothing happens to its heat', () => {
  const heats = fc.double({ min: 0.001, max: 100, noNaN: true });
  fc.assert(
    fc.property(heats, fc.constantFrom(...TIERS), (heat, current) => {
      const moved = tierByHeat(scoreOf(heat), current, NOW_MS);
      expect(tierByHeat(scoreOf(heat), moved, NOW_MS)).toBe(moved);
    }),
  );
});

it('is cold, when it was never read, and the nearest tier that there is', () => {
  expect(tierByHeat(null, 'warm', NOW_MS)).toBe('cold');
  expect(tierByHeat(scoreOf(1), 'warm', NOW_MS + 3 * HEAT_HALF_LIFE_MS)).toBe('cold');
  expect(nearestTier('cold', new Set<Tier>(['hot', 'warm']))).toBe('warm');
  expect(nearestTier('hot', new Set<Tier>(['cold']))).toBe('cold');
  expect(nearestTier('warm', new Set<Tier>(['hot', 'cold']))).toBe('hot');
});

it('is the same for all extents at once', () => {
  const store = new PoolStore(join(tempDirectory('tiers'), 'pool.sqlite'), { create: true });
  const object = {
    name: 'a',
    kind: 'file' as const,
    sizeBytes: 0,
    extentCount: 0,
    mode: 0,
    mtimeMs: 0,
    linkTarget: null,
    storedAtMs: 0,
  };
  const objectId = store.objects.insert(object);
  const cases = [null, 0.1, 0.25, 0.3, 0.9, 1.1, 1.9, 2.1, 3.9, 4.1, 50].flatMap((heat) =>
    TIERS.map((tier) => ({ heatScore: heat === null ? null : scoreOf(heat), tier })),
  );
  const ids = cases.map(({ heatScore, tier }, extentIndex) =>
    store.extents.insert(
      {
        objectId,
        extentIndex,
        sizeBytes: 0,
        checksum: Buffer.alloc(32),
        replicaCount: 1,
        tier,
        heatScore,
        readCount: 0,
        writeCount: 1,
        lastAccessAtMs: null,
      },
      [],
    ),
  );
  store.tiers.retag(NOW_MS, { hot: 'hot', warm: 'warm', cold: 'cold' });
  const found = ids.map((extentId) => store.extents.get(extentId)?.tier);
  expect(found).toEqual(cases.map((one) => tierByHeat(one.heatScore, one.tier, NOW_MS)));
  expect(store.tiers.retag(NOW_MS, { hot: 'hot', warm: 'warm', cold: 'cold' })).toBe(0);
  store.close();
});
