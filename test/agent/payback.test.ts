/** An agent measures what its reclamations gain, and the triggers are told. */

import { expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { ExtentPoolGround } from '../../src/pool/extent-pool/reclamation-ground.js';
import { paybackFact } from '../../src/pool/payback.js';
import { beginReclamation } from '../../src/pool/reclamation.js';
import { expectIntact, makeLab, until, withAgent } from '../support/agent-lab.js';
import { ask, samples } from '../support/pages.js';
import { untilDayIsLong } from '../support/utc-day.js';

it('measures the defragmentation of a reclamation, before its trim is over or soon after', async () => {
  await untilDayIsLong();
  const lab = await makeLab();
  const { context } = lab.pool;
  const { store } = context;
  const tier = { defrag: { enabled: true, minFragments: 2, intensity: 'high' } } as const;
  store.policies.set(
    { preset: 'balanced', overrides: { tiers: { hot: tier, warm: tier, cold: tier } } },
    Date.now(),
    'test',
  );
  const request = { trigger: 'manual', scope: null, reason: 'a test', actor: 'test' } as const;
  const { reclamationId } = beginReclamation(new ExtentPoolGround(context), request);
  await withAgent(lab, async (agent) => {
    await until(
      'the reclamation has ended',
      () => store.reclamations.get(reclamationId)?.endedAtMs,
    );
    await until('it was measured', () => store.paybacks.recent(1)[0]?.endedAtMs);
    const { beforeMs = 0, afterMs = 0 } = store.paybacks.recent(1)[0]?.figures ?? {};
    const { text } = await ask(`${agent.url()}/metrics`);
    const served = Object.values(samples(text, 'dynamicfs_payback_read_ratio'));
    expect(served).toEqual([afterMs / beforeMs]);
    const worn = Object.values(samples(text, 'dynamicfs_wear_today_bytes'));
    // With what was moved only to make room.
    const { defrag_bytes_moved, defrag_bytes_relocated } = store.totals.read();
    expect(worn).toEqual([defrag_bytes_moved + defrag_bytes_relocated]);
    expect(defrag_bytes_moved).toBe(24 * MIB);
  });
  const [payback, ...others] = store.paybacks.recent(9);
  expect(others).toEqual([]);
  expect(payback).toMatchObject({ reclamationId, trigger: 'manual', skippedReason: null });
  const { rewrittenBytes = 0, sampleBytes = 0, droppedCount } = payback?.figures ?? {};
  // Four objects of three extents, two copies of each.
  expect({ rewrittenBytes, sampleBytes, droppedCount }).toEqual({
    ...{ rewrittenBytes: 24 * MIB, sampleBytes: 24 * MIB, droppedCount: 0 },
  });
  expect(paybackFact(context)).toEqual({
    backsOffUntilMs: null,
    reason: expect.stringContaining('1 of 2 runs measured'),
  });
  await expectIntact(lab);
});
