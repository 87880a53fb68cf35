/**
 * What a repeated trim leaves out: never a window with blocks that were freed and not trimmed.
 *
 * Files come, go, grow, are cut and take the place of others between trims, at random; after each
 * trim the image must hold nothing for what the file system says is free. The last two trims have
 * nobody between them: then nothing may be asked of the device.
 */

import { rmSync, truncateSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { canMount } from '../support/loop-mounts.js';
import { TrimLab } from '../support/trim-lab.js';

const fileIndex = fc.nat(11);
const action = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    fileIndex,
    kib: fc.integer({ min: 4, max: 12_000 }),
  }),
  fc.record({ kind: fc.constant('remove' as const), fileIndex }),
  fc.record({ kind: fc.constant('cut' as const), fileIndex }),
  // A place that is free before and after, but was written to in between.
  fc.record({
    kind: fc.constant('come-and-go' as const),
    kib: fc.integer({ min: 64, max: 30_000 }),
  }),
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

function act(lab: TrimLab, names: Set<string>, step: Action): void {
  if (step.kind === 'come-and-go') {
    lab.writeFile('passing', step.kib * KIB);
    rmSync(lab.mount.path('passing'));
    return;
  }
  const name = `file-${step.fileIndex}`;
  if (step.kind === 'write') {
    lab.writeFile(name, step.kib * KIB);
    names.add(name);
  } else if (names.has(name)) {
    if (step.kind === 'cut') truncateSync(lab.mount.path(name), 4 * KIB);
    else rmSync(lab.mount.path(name));
    if (step.kind === 'remove') names.delete(name);
  }
}

describe.skipIf(!canMount).each(['ext4', 'xfs', 'btrfs'] as const)(
  'repeated trims of %s',
  (fsType) => {
    it('leave nothing untrimmed behind, whatever happened in between', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(action, { maxLength: 6 }), { minLength: 3, maxLength: 5 }),
          async (rounds) => {
            const lab = new TrimLab(fsType);
            try {
              const names = new Set<string>();
              for (const round of rounds) {
                for (const step of round) act(lab, names, step);
                const report = await lab.trim({ windowBytes: 32 * MIB });
                expect(report).toMatchObject({ failedCount: 0, refusedCount: 0 });
                expect(lab.untrimmedBytes()).toBeLessThanOrEqual(lab.toleratedBytes);
              }
              const manifest = lab.manifest();
              await lab.trim({ windowBytes: 32 * MIB });
              const last = await lab.trim({ windowBytes: 32 * MIB });
              expect(last.deviceDiscardedBytes).toBe(0);
              expect(lab.manifest()).toEqual(manifest);
            } finally {
              await lab.remove();
            }
          },
        ),
        { numRuns: 6 },
      );
    }, 180_000);
  },
);

describe.skipIf(!canMount)('a window of XFS', () => {
  it('is left out when all that was freed since lies in others, and none when that is not sure', async () => {
    const lab = new TrimLab('xfs');
    try {
      for (let index = 0; index < 12; index += 1) lab.writeFile(`file-${index}`, 10 * MIB);
      await lab.trim({ windowBytes: 32 * MIB });
      rmSync(lab.mount.path('file-3'));
      const report = await lab.trim({ windowBytes: 32 * MIB });
      expect(report.skippedCounts['freed-elsewhere']).toBeGreaterThan(0);
      expect(report.trimmedCount).toBeGreaterThan(0);
      expect(report.confirmedBytes).toBeGreaterThanOrEqual(10 * MIB);
      expect(lab.untrimmedBytes()).toBe(0);

      await lab.trim({ windowBytes: 32 * MIB });
      lab.writeFile('passing', 20 * MIB);
      rmSync(lab.mount.path('passing'));
      const sure = await lab.trim({ windowBytes: 32 * MIB });
      expect(sure.skippedCounts['freed-elsewhere']).toBe(0);
      expect(lab.untrimmedBytes()).toBe(0);
    } finally {
      await lab.remove();
    }
  });
});
