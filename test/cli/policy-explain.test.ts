/** `policy explain` on pools that are there: what it says is what the agent would do with the next tick. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { policyExplainText } from '../../src/cli/policy-explain-text.js';
import { emptyPool, fragmentedPool } from '../support/cli-pools.js';
import { CliNode } from '../support/cli-run.js';
import { closePool, openPool } from '../support/pool-fixture.js';

const node = new CliNode();
afterAll(() => node.stop());

const explain = (path: string, ...flags: string[]) =>
  node.json('policy explain', ['-p', path, ...flags]);

describe('policy explain', () => {
  it('begins nothing on a new pool, and says for each trigger why', async () => {
    const { path } = await emptyPool();
    const view = await explain(path);
    expect(view).toMatchObject({ begins: null, holds: [], windows: null, quietUntilMs: null });
    const triggers = new Set(view.triggers.map(({ trigger }) => trigger));
    expect([...triggers].sort()).toEqual(['capacity', 'fragmentation', 'freed', 'schedule']);
    expect(view.triggers.filter(({ state }) => state === 'fires')).toEqual([]);
    const text = await node.text('policy', 'explain', '-p', path);
    expect(text).toContain('Nothing begins now.');
    expect(text).toMatch(/capacity +pool +below +[\d.]+ % used or pending/);
  });

  it('says what fires with the figures, what holds it and until when, and changes nothing', async () => {
    const { path } = await fragmentedPool();
    const young = await explain(path);
    expect(young.begins).toBeNull();
    const settling = young.triggers.find(({ state }) => state === 'held');
    expect(settling?.reason).toContain('begins if it still is so at');
    // As ticks of more than ten minutes leave it.
    const pool = openPool(path);
    const keys = young.triggers.map(({ trigger, scope }) => `${trigger}/${scope}`);
    pool.context.store.triggers.setPassed(keys, Date.now() - 11 * 60_000);
    await closePool(pool);
    const view = await explain(path);
    // Most of this small pool was just deleted, and waits for a trim.
    expect(view.begins).toMatchObject({ trigger: 'capacity', scope: 'pool' });
    const fires = view.triggers.filter(({ state }) => state === 'fires');
    expect(fires.map(({ trigger }) => trigger)).toContain('fragmentation');
    expect(view.tiers.filter(({ defrag }) => defrag.moves)).toHaveLength(1);
    const file = join(node.directory, 'quiet.yaml');
    writeFileSync(
      file,
      'preset: balanced\nquietHours: [{ from: "00:00", to: "23:59" }, { from: "23:59", to: "00:00" }]\n' +
        'windows: [{ cron: "0 0 1 1 *", durationMs: 1m }]\n',
    );
    const held = await explain(path, '--file', file);
    expect(held).toMatchObject({ begins: null, policy: { version: null, file } });
    expect(held.holds.map(({ kind }) => kind)).toEqual(['quiet-hours', 'outside-windows']);
    expect(held.quietUntilMs).toBeGreaterThan(held.atMs);
    const verdict = held.triggers.find(({ trigger }) => trigger === 'fragmentation');
    expect(verdict?.state).toBe('held');
    expect(verdict?.heldUntilMs).toBe(Math.max(...held.holds.map(({ untilMs }) => untilMs ?? 0)));
    expect(policyExplainText(held)).toContain('closed now, the next opens in');
    const after = await explain(path);
    expect(after.policy.version).toBe(0);
    expect(after.begins).toEqual(view.begins);
  });

  it('says what adaptive mode makes of this hour', async () => {
    const { path } = await emptyPool();
    const input = 'adaptive: true\nquietHours: [{ from: "08:00", to: "20:00" }]\n';
    const end = await node.run(['policy', 'explain', '-p', path, '--file', '-', '--json'], {
      input,
    });
    const { adaptive } = JSON.parse(end.stdout);
    expect(adaptive).toMatchObject({ begin: false, intensity: 'high' });
    expect(adaptive.reason).toContain('still learning: 0 of 168 hours');
  });

  it('names the errors of a file', async () => {
    const { path } = await emptyPool();
    const bad = await node.run(['policy', 'explain', '-p', path, '--file', '-'], {
      input: 'enabled: perhaps\n',
    });
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('  enabled: ');
  });
});
