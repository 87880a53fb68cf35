/**
 * /metrics: the numbers are the pool's own, in base units, over all processes and restarts; and what
 * is served, what the code declares and what docs/metrics.md lists are the same names.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { beginTrim } from '../../src/cli/run-control.js';
import { DAY_MS } from '../../src/domain/trends.js';
import { MIB } from '../../src/domain/units.js';
import { packageRoot } from '../../src/kernel/package-root.js';
import { TOTAL_METRICS } from '../../src/observability/total-metrics.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { poolForecasts } from '../../src/pool/forecasts.js';
import { paybackFact } from '../../src/pool/payback.js';
import {
  beginRun,
  expectIntact,
  makeLab,
  makeNode,
  register,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { addAndJudge, withQueues } from '../support/agent-queues.js';
import { ask, samples } from '../support/pages.js';
import { recordPaybacks } from '../support/paybacks.js';
import { makePool } from '../support/pool-fixture.js';
import { untilDayIsLong } from '../support/utc-day.js';

/** The counters of the specification, by the names that they have here. */
const SPEC_COUNTERS = {
  dynamicfs_defrag_runs_completed_total: 'defrag_runs_completed',
  dynamicfs_defrag_extents_moved_total: 'defrag_extents_moved',
  dynamicfs_defrag_bytes_moved_total: 'defrag_bytes_moved',
  dynamicfs_trim_operations_total: 'trim_operations',
  dynamicfs_trim_bytes_reclaimed_total: 'trim_bytes_reclaimed',
} as const;

/** Names of metrics by the type that `# TYPE` gives them. */
function declared(text: string): Map<string, string> {
  const types = text.matchAll(/^# TYPE (dynamicfs_\w+) (\w+)$/gm);
  return new Map([...types].map(([, name = '', type = '']) => [name, type]));
}

it('counts what was done, and goes on counting after a restart', async () => {
  const lab = await makeLab();
  const { pool } = lab;
  await withAgent(lab, async (agent) => {
    const run = await untilOver(pool, beginRun(pool).runId);
    const intent = { disk: null, secureErase: false, trigger: 'manual' } as const;
    const trim = await untilOver(pool, beginTrim(pool, intent).run.runId);
    const { status, headers, text } = await ask(`${agent.url()}/metrics`);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);

    const totals = pool.context.store.totals.read();
    const label = `pool="${pool.id}"`;
    for (const [name, total] of Object.entries(SPEC_COUNTERS)) {
      expect(samples(text, name)).toEqual({ [label]: totals[total] });
    }
    for (const { name, value } of TOTAL_METRICS) {
      expect(samples(text, name)).toEqual({ [label]: value(totals) });
    }
    expect(totals.defrag_extents_moved).toBe(run.progress.doneCount);
    expect(totals.trim_bytes_reclaimed).toBe(trim.progress.reclaimedBytes);
  });
  const before = pool.context.store.totals.read();
  await withAgent(lab, async (agent) => {
    const { text } = await ask(`${agent.url()}/metrics`);
    expect(samples(text, 'dynamicfs_defrag_bytes_moved_total')).toEqual({
      [`pool="${pool.id}"`]: before.defrag_bytes_moved,
    });
  });
});

it('says where every byte of every disk is, and what runs', async () => {
  const lab = await makeLab();
  const { pool } = lab;
  beginRun(pool, { intensity: 'low' });
  await withAgent(lab, (agent) =>
    withQueues(lab, async (view) => {
      const { runId } = beginRun(pool);
      await untilOver(pool, runId);
      await addAndJudge(view, 'analyze', { v: 1, poolId: pool.id });
      const { text } = await ask(`${agent.url()}/metrics`);
      const space = samples(text, 'dynamicfs_disk_space_bytes');
      const capacity = samples(text, 'dynamicfs_disk_capacity_bytes');
      for (const { uuid, capacityBytes, pendingBytes, usedBytes } of pool.disks()) {
        const disk = `pool="${pool.id}",disk="${uuid}"`;
        const of = (state: string) => space[`${disk},state="${state}"`] ?? Number.NaN;
        expect(capacity[disk]).toBe(capacityBytes);
        expect([of('used'), of('pending')]).toEqual([usedBytes, pendingBytes]);
        expect(of('used') + of('free') + of('pending') + of('reserved')).toBe(capacityBytes);
        expect(samples(text, 'dynamicfs_disk_online')[disk]).toBe(1);
        expect(samples(text, 'dynamicfs_disk_fragmentation_ratio')[disk]).toBe(0);
        expect(samples(text, 'dynamicfs_trim_pending_bytes')[disk]).toBe(pendingBytes);
      }
      expect(samples(text, 'dynamicfs_redis_up')).toEqual({ '': 1 });
      expect(samples(text, 'dynamicfs_fragmentation_ratio')).toEqual({ [`pool="${pool.id}"`]: 0 });
      const analyzed = Object.values(samples(text, 'dynamicfs_analyzed_timestamp_seconds'))[0] ?? 0;
      expect(Math.abs(analyzed - Date.now() / 1_000)).toBeLessThan(600);
    }),
  );
  await expectIntact(lab);
});

/** Five days in which the pool filled by eight percent a day. */
function recordGrowth({ context: { store } }: ExtentPool, nowMs: number): void {
  store.transaction(() => {
    for (let ago = 5; ago >= 1; ago -= 1) {
      const figures = {
        ...{ capacityBytes: 1000, usedBytes: 500 - ago * 80, freeBytes: 500 + ago * 80 },
        ...{ pendingBytes: 0, fragmentationRatio: 0, analyzedAtMs: nowMs - ago * DAY_MS },
      };
      store.trends.record(figures, nowMs - ago * DAY_MS);
    }
  });
}

it('tells when a threshold will be passed, and nothing where that is not foreseen', async () => {
  const lab = { pool: makePool({ capacityBytes: 64 * MIB }), ...makeNode(), manifest: {} };
  register(lab.stateDirectory, lab.pool);
  await withAgent(lab, async (agent) => {
    const foretold = async () => {
      const { text } = await ask(`${agent.url()}/metrics`);
      return samples(text, 'dynamicfs_forecast_timestamp_seconds');
    };
    expect(await foretold()).toEqual({});
    recordGrowth(lab.pool, Date.now());
    const expected = () => {
      const { forecast } = poolForecasts(lab.pool.context).capacity;
      if (forecast.kind !== 'passes') throw new Error(`expected a day, not ${forecast.kind}`);
      return forecast.atMs;
    };
    // A tick in between may move it.
    const before = expected();
    const told = await foretold();
    const after = expected();
    expect(Object.keys(told)).toEqual([`pool="${lab.pool.id}",threshold="capacity"`]);
    const toldMs = (Object.values(told)[0] ?? 0) * 1_000;
    expect(Math.min(...[before, after].map((one) => Math.abs(one - toldMs)))).toBeLessThan(60_000);
  });
});

it('tells of payback and wear what the triggers are told, and nothing that is not known', async () => {
  await untilDayIsLong();
  const lab = await makeLab({ objectCount: 1 });
  const { store } = lab.pool.context;
  const pool = `pool="${lab.pool.id}"`;
  await withAgent(lab, async (agent) => {
    const scrape = async () => {
      const { text } = await ask(`${agent.url()}/metrics`);
      return (name: string) => samples(text, `dynamicfs_${name}`);
    };
    const before = await scrape();
    expect([before('payback_read_ratio'), before('payback_gain_ratio')]).toEqual([{}, {}]);
    expect(before('payback_verdict')).toMatchObject({ [`${pool},verdict="unknown"`]: 1 });
    expect([before('wear_budget_bytes'), before('wear_budget_used_ratio')]).toEqual([{}, {}]);
    expect(before('wear_today_bytes')).toEqual({ [pool]: 0 });

    await untilOver(lab.pool, beginRun(lab.pool).runId);
    const { defrag_bytes_moved, defrag_bytes_relocated } = store.totals.read();
    const wornBytes = defrag_bytes_moved + defrag_bytes_relocated;
    expect(wornBytes).toBeGreaterThan(0);
    const budgetBytes = wornBytes / 2;
    const overrides = { wearBudgetBytesPerDay: budgetBytes };
    store.policies.set({ preset: 'balanced', overrides }, Date.now(), 'test');
    recordPaybacks(lab.pool, [-0.5, 0.04, 0.01]);
    const then = await scrape();
    expect(then('payback_read_ratio')).toEqual({ [pool]: 0.99 });
    expect(then('payback_gain_ratio')).toEqual({ [pool]: 0.01 });
    expect(then('payback_backs_off')).toEqual({ [pool]: 1 });
    expect(then('payback_verdict')).toEqual({
      [`${pool},verdict="pays"`]: 0,
      [`${pool},verdict="does-not-pay"`]: 1,
      [`${pool},verdict="unknown"`]: 0,
    });
    const measuredAtMs = store.paybacks.recent(1)[0]?.endedAtMs ?? Number.NaN;
    expect(then('payback_measured_timestamp_seconds')).toEqual({ [pool]: measuredAtMs / 1_000 });
    expect(then('wear_today_bytes')).toEqual({ [pool]: wornBytes });
    expect(then('wear_budget_bytes')).toEqual({ [pool]: budgetBytes });
    expect(then('wear_budget_used_ratio')).toEqual({ [pool]: 2 });
    expect(paybackFact(lab.pool.context).backsOffUntilMs).toBeGreaterThan(Date.now());
  });
});

it('serves what the docs list, by name and type, and nothing else of ours', async () => {
  const lab = { pool: makePool({ capacityBytes: 64 * MIB }), ...makeNode(), manifest: {} };
  register(lab.stateDirectory, lab.pool);
  recordGrowth(lab.pool, Date.now());
  recordPaybacks(lab.pool, [0.4, 0.2]);
  const budget = { wearBudgetBytesPerDay: 64 * MIB };
  lab.pool.context.store.policies.set(
    { preset: 'balanced', overrides: budget },
    Date.now(),
    'test',
  );
  const docs = readFileSync(join(packageRoot(), 'docs', 'metrics.md'), 'utf8');
  const rows = docs.matchAll(/^\| `(dynamicfs_\w+)` \| (\w+) \|([^|]*)\|/gm);
  const documented = [...rows].map(([, name = '', type = '', labels = '']) => ({
    name,
    type,
    labels: labels.split(',').flatMap((label) => label.trim() || []),
  }));
  await withAgent(lab, (agent) =>
    withQueues(lab, async (view) => {
      await addAndJudge(view, 'analyze', { v: 1, poolId: lab.pool.id });
      const { text } = await ask(`${agent.url()}/metrics`);
      expect(Object.fromEntries(declared(text))).toEqual(
        Object.fromEntries(documented.map(({ name, type }) => [name, type])),
      );
      for (const { name, labels } of documented) {
        const [sample] = Object.keys(samples(text, name));
        const used = [...(sample ?? '?="').matchAll(/(\w+)="/g)].map(([, label]) => label);
        expect([name, ...used]).toEqual([name, ...labels]);
      }
    }),
  );
  const counters = documented.filter(({ type }) => type === 'counter').map(({ name }) => name);
  expect(counters.slice(0, TOTAL_METRICS.length)).toEqual(TOTAL_METRICS.map(({ name }) => name));
});
