/** Replicas go to different disks that can take them: healthy first, tier first, then most free. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TIERS } from '../../src/domain/heat.js';
import { chooseDisks } from '../../src/domain/placement.js';

const disks = fc.uniqueArray(
  fc.record({
    diskId: fc.integer({ min: 1, max: 20 }),
    tier: fc.constantFrom(...TIERS),
    healthy: fc.boolean(),
    usableBytes: fc.integer({ min: 0, max: 1000 }),
  }),
  { selector: ({ diskId }) => diskId, maxLength: 10 },
);

it('takes as many fitting disks as there are, never one twice, the best ones first', () => {
  const excluded = fc.uniqueArray(fc.integer({ min: 1, max: 20 }));
  const wanted = [fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 1, max: 3 })] as const;
  fc.assert(
    fc.property(
      disks,
      ...wanted,
      fc.constantFrom(...TIERS),
      excluded,
      (all, neededBytes, replicaCount, tier, without) => {
        const chosen = chooseDisks(all, neededBytes, replicaCount, tier, new Set(without));
        const fitting = all.filter(
          (disk) =>
            disk.healthy && disk.usableBytes >= neededBytes && !without.includes(disk.diskId),
        );
        expect(chosen).toHaveLength(Math.min(replicaCount, fitting.length));
        expect(new Set(chosen).size).toBe(chosen.length);

        const rank = (disk: (typeof all)[number]) =>
          Number(disk.tier === tier) * 10_000 + disk.usableBytes;
        const taken = fitting.filter((disk) => chosen.includes(disk.diskId));
        const left = fitting.filter((disk) => !chosen.includes(disk.diskId));
        for (const good of taken) {
          for (const other of left) expect(rank(good)).toBeGreaterThanOrEqual(rank(other));
        }
      },
    ),
  );
});

it('does not depend on the order in which the disks are listed', () => {
  fc.assert(
    fc.property(disks, (all) => {
      const choose = (list: typeof all) => chooseDisks(list, 1, 3, 'warm');
      expect(choose([...all].reverse())).toEqual(choose(all));
    }),
  );
});
