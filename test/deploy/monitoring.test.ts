/**
 * Alerts and dashboard against an agent that runs: they ask only for what it really serves, by names,
 * labels and values; and Prometheus' own tool reads all of it.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { MaintenanceError } from '../../src/domain/errors.js';
import type { DiscardOutcome } from '../../src/domain/tasks.js';
import { packageRoot } from '../../src/kernel/package-root.js';
import { trimBatch } from '../../src/pool/extent-pool/trim.js';
import { beginRun, type Lab, makeLab, untilOver, withAgent } from '../support/agent-lab.js';
import { addAndJudge, withQueues } from '../support/agent-queues.js';
import { ask, samples } from '../support/pages.js';
import { recordPaybacks } from '../support/paybacks.js';
import { missing } from '../support/programs.js';
import { tempDirectory } from '../support/temp-directory.js';

const ROOT = packageRoot();
const RULES = 'deploy/prometheus/dynamicfs.rules.yml';
const noPromtool = missing('promtool');

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const rules = readFileSync(join(ROOT, RULES), 'utf8');
const dashboard = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana/dynamicfs.json'), 'utf8')) as {
  readonly panels: readonly Panel[];
};
const dashboardQueries = dashboard.panels.flatMap(({ targets = [] }) =>
  targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '5m').replaceAll('$pool', '.*')),
);
/** Prometheus adds these to each sample itself. */
const ADDED_LABELS = ['instance', 'job'];

/** What an agent serves only of a pool with a budget, and once two runs were measured. */
function measurePayback({ pool }: Lab): void {
  const { store } = pool.context;
  const overrides = { wearBudgetBytesPerDay: 2 ** 30 };
  store.policies.set({ preset: 'balanced', overrides }, Date.now(), 'test');
  recordPaybacks(pool, [0.4, 0.2]);
}

let scrape = '';

beforeAll(async () => {
  const lab = await makeLab({ objectCount: 1 });
  const { id } = lab.pool;
  measurePayback(lab);
  await withAgent(lab, (agent) =>
    withQueues(lab, async (view) => {
      await untilOver(lab.pool, beginRun(lab.pool).runId);
      await addAndJudge(view, 'analyze', { v: 1, poolId: id });
      scrape = (await ask(`${agent.url()}/metrics`)).text;
    }),
  );
});

/** Every selector of a text: name of the metric and what its labels must be. */
function selectors(text: string): { name: string; labels: [name: string, values: string[]][] }[] {
  const found = text.matchAll(/\b((?:dynamicfs|nodejs|process)_\w+)(?:\{([^}]*)\})?(?!['"\w])/g);
  return [...found].map(([, name = '', body = '']) => ({
    name,
    labels: [...body.matchAll(/(\w+)(=~|!=|=)"([^"]*)"/g)].map(
      ([, label = '', how, value = '']) => [
        label,
        how === '=' || how === '=~' ? value.split('|').filter((one) => one !== '.*') : [],
      ],
    ),
  }));
}

describe.each([
  ['the alerts', rules.replace(/^ *(description|summary|- name): .*$/gm, '')],
  ['the dashboard', dashboardQueries.join('\n')],
])('%s', (_, text) => {
  it('ask for metrics, labels and values that an agent serves', () => {
    const asked = selectors(text);
    expect(asked.length).toBeGreaterThan(15);
    for (const { name, labels } of asked) {
      const served = Object.keys(samples(scrape, name));
      expect({ name, isServed: served.length > 0 }).toEqual({ name, isServed: true });
      for (const [label, values] of labels) {
        if (ADDED_LABELS.includes(label)) continue;
        const known = served.flatMap(
          (one) => new RegExp(`\\b${label}="([^"]*)"`).exec(one)?.[1] ?? [],
        );
        expect({ name, label, known }).toMatchObject({ known: expect.arrayContaining(values) });
        expect(known.length).toBeGreaterThan(0);
      }
    }
  });

  it('group by labels that there are', () => {
    const grouped = [...text.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = '']) =>
      list.split(',').map((label) => label.trim()),
    );
    const known = new Set([...scrape.matchAll(/[{,](\w+)="/g)].map(([, label]) => label));
    expect(grouped.length).toBeGreaterThan(0);
    expect(grouped.filter((label) => !known.has(label) && !ADDED_LABELS.includes(label))).toEqual(
      [],
    );
  });
});

it('docs/operations.md says of every alert what to do', () => {
  const docs = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const documented = [...docs.matchAll(/^\| `(Dynamicfs\w+)` \|/gm)].map(([, name]) => name);
  expect(documented).toEqual(alerts);
});

it('what a disk accepted to discard and holds still is counted, and nothing of it as freed', async () => {
  const lab = await makeLab({ objectCount: 1, diskCount: 1, replicaCount: 1 });
  const { context } = lab.pool;
  const [disk] = context.store.disks.all();
  if (!disk) throw new Error('no disk');
  // No file system here does that to a whole range: this is what a thread says of one that does.
  const still: DiscardOutcome = {
    kind: 'failed',
    error: new MaintenanceError('ERR_KERNEL', 'still holds it').toWire(),
    isRefused: true,
  };
  const due = context.store.discards.due(disk.diskId, Date.now());
  vi.spyOn(context.workers, 'run').mockResolvedValueOnce(due.map(() => still));
  const batch = { disk, fromBytes: 0, bytesMax: 2 ** 30, secureErase: false };
  const done = await trimBatch(context, batch);
  await withAgent(lab, async (agent) => {
    const { text } = await ask(`${agent.url()}/metrics`);
    const of = (name: string) => Object.values(samples(text, `dynamicfs_trim_${name}_total`));
    expect(done?.receipt.requestedBytes).toBeGreaterThan(0);
    expect(of('refused_bytes')).toEqual([done?.receipt.requestedBytes]);
    expect(of('confirmed_bytes')).toEqual([0]);
  });
});

describe.skipIf(noPromtool)(`promtool${noPromtool}`, () => {
  const promtool = (args: string[], input = '') => {
    const { status, stdout, stderr } = spawnSync('promtool', args, {
      cwd: join(ROOT, 'deploy/prometheus'),
      input,
      encoding: 'utf8',
    });
    return { status, said: `${stdout}${stderr}` };
  };

  it('finds nothing wrong with the metrics of an agent', () => {
    // What Node and prom-client name is theirs to name.
    const ours = scrape.split('\n').filter((line) => /^(# \w+ )?dynamicfs_/.test(line));
    expect(promtool(['check', 'metrics'], `${ours.join('\n')}\n`)).toEqual({ status: 0, said: '' });
  });

  it('reads the alerts, and they fire when they should', () => {
    const checked = promtool(['check', 'rules', 'dynamicfs.rules.yml']);
    expect(checked).toMatchObject({ status: 0, said: expect.stringContaining('SUCCESS') });
    const tested = promtool(['test', 'rules', 'dynamicfs.rules.test.yml']);
    expect(tested).toMatchObject({ status: 0, said: expect.stringContaining('SUCCESS') });
  });

  it('reads every query of the dashboard', () => {
    const path = join(tempDirectory('rules'), 'dashboard.yml');
    const records = dashboardQueries.map((expr, n) => ({ record: `query_${n}`, expr }));
    // JSON is YAML.
    writeFileSync(path, JSON.stringify({ groups: [{ name: 'dashboard', rules: records }] }));
    const checked = promtool(['check', 'rules', path]);
    const said = expect.stringContaining(`SUCCESS: ${records.length} rules`);
    expect(checked).toMatchObject({ status: 0, said });
  });
});
