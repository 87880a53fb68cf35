/** `reclamation trends`: the same in text and data, in any terminal, from what ticks recorded. */

import { describe, expect, it } from 'vitest';
import { isUtf8, SPARK_COLUMNS, sparkline } from '../../src/cli/sparkline.js';
import { trendsText } from '../../src/cli/trends-text.js';
import { DAY_MS, type TrendFigures } from '../../src/domain/trends.js';
import { GIB } from '../../src/domain/units.js';
import { ExtentPoolGround } from '../../src/pool/extent-pool/reclamation-ground.js';
import { processPolicyTick } from '../../src/processors/policy-tick.js';
import { emptyPool, fragmentedPool } from '../support/cli-pools.js';
import { CliNode } from '../support/cli-run.js';
import { closePool, makePool, openPool } from '../support/pool-fixture.js';

const node = new CliNode();

function figures(usedBytes: number, nowMs: number): TrendFigures {
  return {
    capacityBytes: 100 * GIB,
    usedBytes,
    freeBytes: 100 * GIB - usedBytes,
    pendingBytes: 0,
    fragmentationRatio: 0.01,
    analyzedAtMs: nowMs,
  };
}

/** Fills by one percent a day; yesterday it was at `percent`. */
async function growingPool(percent: number): Promise<string> {
  const { path } = await emptyPool();
  const pool = openPool(path);
  const { store } = pool.context;
  const now = Date.now();
  store.transaction(() => {
    for (let ago = 20; ago >= 1; ago -= 1) {
      const atMs = now - ago * DAY_MS;
      store.trends.record(figures((percent + 1 - ago) * GIB, atMs), atMs);
    }
  });
  await closePool(pool);
  return path;
}

describe('reclamation trends', () => {
  it('says that nothing is recorded yet of a new pool', async () => {
    const { path } = await emptyPool();
    const view = await node.json('reclamation trends', ['-p', path]);
    expect(view).toMatchObject({ span: 'day', points: [], rewrittenTodayBytes: 0 });
    expect(view.forecasts.capacity).toMatchObject({ state: 'too-little-data', measured: null });
    expect(await node.text('reclamation', 'trends', '-p', path)).toContain('Nothing is recorded');
  });

  it('names the day on which the pool will be as full as the policy allows', async () => {
    const path = await growingPool(60);
    const view = await node.json('reclamation trends', ['-p', path, '--days', '10']);
    const { capacity, fragmentation } = view.forecasts;
    expect(capacity).toMatchObject({
      ...{ state: 'passes', threshold: 0.85, measured: expect.closeTo(0.6) },
      perDay: expect.closeTo(0.01),
    });
    // It was at 60 % when yesterday ended: 25 days from last midnight.
    const midnightMs = Math.floor(view.toMs / DAY_MS) * DAY_MS;
    expect(((capacity.atMs ?? 0) - midnightMs) / DAY_MS).toBeCloseTo(25, 3);
    expect(fragmentation).toMatchObject({ state: 'not-foreseen', atMs: null });
    // Today is not recorded yet, so nine of the ten days are.
    expect(view.points).toHaveLength(9);
  });

  it('prints in the text what is in the data, in blocks or, in another locale, in ASCII', async () => {
    const path = await growingPool(90);
    const args = ['reclamation', 'trends', '-p', path];
    const view = await node.json('reclamation trends', ['-p', path]);
    const said = async (LC_ALL: string) => (await node.run(args, { env: { LC_ALL } })).stdout;
    expect(await said('C.UTF-8')).toBe(`${trendsText(view, true)}\n`);
    const ascii = await said('C');
    expect(ascii).toBe(`${trendsText(view, false)}\n`);
    expect(ascii).toMatch(/^[\n -~]*$/);
    expect(ascii).toContain('Capacity forecast: 90.00% is over the threshold of 85.00%');
  });

  it('shows hours, and refuses days that are not kept', async () => {
    const path = await growingPool(60);
    const view = await node.json('reclamation trends', ['-p', path, '--hourly', '--days', '2']);
    expect(view).toMatchObject({ span: 'hour', points: [expect.anything()] });
    for (const days of ['0', '733', 'many']) {
      expect(await node.run(['reclamation', 'trends', '-p', path, '--days', days])).toMatchObject({
        code: 2,
      });
    }
  });
});

describe('a tick', () => {
  it('records how an extent pool stands, fragmentation as of now', async () => {
    const { path } = await fragmentedPool();
    const pool = openPool(path);
    const { context } = pool;
    processPolicyTick(new ExtentPoolGround(context));
    const [disk] = pool.audit().disks;
    const [today] = context.store.trends.points('day', 0, Date.now());
    expect(today?.figures).toMatchObject({
      capacityBytes: disk?.capacityBytes,
      usedBytes: disk?.usedBytes,
      freeBytes: disk?.freeBytes,
      pendingBytes: disk?.pendingBytes,
      fragmentationRatio: pool.analyze().fragmentationRatio,
    });
    expect(disk?.pendingBytes).toBeGreaterThan(0);
    expect(pool.analyze().fragmentationRatio).toBe(1);
    expect(Date.now() - (today?.figures?.analyzedAtMs ?? 0)).toBeLessThan(60_000);
  });

  it('of a later day begins another row', () => {
    const time = { nowMs: Date.UTC(2026, 4, 1, 23, 59) };
    const pool = makePool({ clock: () => time.nowMs });
    processPolicyTick(new ExtentPoolGround(pool.context));
    time.nowMs += 120_000;
    processPolicyTick(new ExtentPoolGround(pool.context));
    const { trends } = pool.context.store;
    expect(trends.points('day', 0, time.nowMs)).toHaveLength(2);
    expect(trends.points('hour', 0, time.nowMs)).toHaveLength(2);
  });
});

describe('a sparkline', () => {
  it('draws each value by its height between the least and the greatest', () => {
    expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], true)).toBe('▁▂▃▄▅▆▇█');
    expect(sparkline([0, null, 7], false)).toBe('_ #');
    expect(sparkline([5, 5, 5], true)).toBe('▁▁▁');
    expect(sparkline([], true)).toBe('');
    expect(sparkline([null, null], true)).toBe('  ');
    expect(sparkline([-3, 1e300], true)).toBe('▁█');
  });

  it('is no longer than a line, however many values there are', () => {
    const values = Array.from({ length: 732 }, (_, n) => (n < 400 ? null : n));
    const line = sparkline(values, true);
    expect(line.length).toBeLessThanOrEqual(SPARK_COLUMNS);
    expect(line).toMatch(/^ +▁.*█$/);
  });

  it('uses blocks where the first locale that is set is of UTF-8', () => {
    expect(isUtf8({ LANG: 'de_DE.UTF-8' })).toBe(true);
    expect(isUtf8({ LANG: 'en_US.utf8', LC_ALL: '' })).toBe(true);
    expect(isUtf8({ LANG: 'de_DE.UTF-8', LC_ALL: 'C' })).toBe(false);
    expect(isUtf8({ LANG: 'de_DE.UTF-8', LC_CTYPE: 'de_DE.ISO-8859-1' })).toBe(false);
    expect(isUtf8({})).toBe(false);
  });
});
