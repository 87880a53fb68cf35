/**
 * A power cut of a pool on raw devices: the catalogue is on a recorded ext4, every disk is a recorded
 * device, and each lost, reordered or tore what came since its own last flush. Beside put, replace,
 * remove, defragmentation and trim: repair of a bad replica, copies for a disk that failed, evacuation,
 * and a disk that leaves. Then the catalogue is lost as well, at once or after some more work.
 *
 * A sample of the states; for thousands, or with other seeds:
 *   DYNAMICFS_TEST_LONG=1 npx vitest run test/pool/power-cut
 *   DYNAMICFS_POWER_CUT_STATES=20000 DYNAMICFS_POWER_CUT_SEED=7 npx vitest run test/pool/power-cut
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeviceCutLab } from '../support/device-cut-lab.js';
import { canFault } from '../support/fault-disk.js';
import {
  CONTROL_STATE_COUNT,
  type PowerCuts,
  SEED,
  STATE_COUNT,
  STATE_MS_MAX,
  sayProgress,
} from '../support/power-cut.js';

const SETUP_MS_MAX = 120_000;

describe.skipIf(!canFault)('a power cut of a pool on raw devices', () => {
  let lab: DeviceCutLab;
  let cuts: PowerCuts;

  beforeAll(async () => {
    lab = await DeviceCutLab.start();
    cuts = await lab.record();
  }, SETUP_MS_MAX);
  afterAll(() => lab[Symbol.asyncDispose]());

  it(
    'loses nothing acknowledged, and what the disks record is enough without the catalogue',
    async () => {
      const states = cuts.states({ count: STATE_COUNT, seed: SEED, isAtomic: lab.isAtomic });
      expect(states.filter(({ kind }) => kind === 'mixed').length).toBeGreaterThan(0);
      for (const [index, state] of states.entries()) {
        const look = LOOKS[index % LOOKS.length] ?? 'open';
        const said = { index, look, state: DeviceCutLab.nameOf(state) };
        const found = await lab.problemsAfter(state, cuts, look);
        expect({ ...said, found }).toEqual({ ...said, found: [] });
        sayProgress(index + 1, states.length);
      }
    },
    STATE_COUNT * STATE_MS_MAX,
  );

  it(
    'is found to lose what was acknowledged when the devices lie about their flushes',
    async () => {
      const how = { count: CONTROL_STATE_COUNT, seed: SEED, isAtomic: lab.isAtomic };
      let badCount = 0;
      for (const state of cuts.states({ ...how, ignoresFlushes: true })) {
        if ((await lab.problemsAfter(state, cuts, 'open')).length > 0) badCount += 1;
      }
      expect(badCount).toBeGreaterThan(0);
    },
    CONTROL_STATE_COUNT * STATE_MS_MAX,
  );
});

/** How the states are looked at, by turns. */
const LOOKS = ['open', 'recover', 'work, then recover'] as const;
