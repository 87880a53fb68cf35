/** The governor of a pool where there is nothing to see: no run waits for its next look. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { defaultBounds } from '../../src/domain/governor.js';
import { governorOf } from '../../src/processors/governor.js';
import type { Governed } from '../../src/processors/governor-seat.js';
import { makePool } from '../support/pool-fixture.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe.each([
  ['it is switched off', 'off'],
  ['no device tells', 'on'],
])('a run where %s', (_, setting) => {
  it('has its whole pace at once, also right after another one', () => {
    vi.stubEnv('DYNAMICFS_GOVERNOR', setting);
    const governor = governorOf(makePool({ diskCount: 0 }).context);
    for (const runId of [1, 2, 3]) {
      const paces: number[] = [];
      const governed: Governed = {
        run: { runId, kind: 'trim' },
        bounds: defaultBounds('medium'),
        setPace: (paceRatio) => paces.push(paceRatio),
      };
      governor.enter(governed, () => []);
      expect(governor.paceRatio(runId)).toBe(1);
      expect(paces).toEqual([0, 1]);
      governor.leave(governed);
    }
  });
});
