/** Policies by the command line: what the specification prints, files with errors, and the docs' example. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parsePolicy } from '../../src/cli/policy-file.js';
import { effectivePolicy } from '../../src/domain/policy.js';
import { emptyPool } from '../support/cli-pools.js';
import { CliNode } from '../support/cli-run.js';

const node = new CliNode();
afterAll(() => node.stop());

const BAD = `preset: gentle
capacityThresholdRatio: 85
defrag: { threadCount: 0, intensity: fast }
tiers: { hot: { trim: { batchBytes: 1K } }, lukewarm: {} }
windows: [{ cron: "61 * * * *", timeZone: Mars/Base, durationMs: soon }]
quietHours: [{ from: "25:00", to: "07:00" }]
speed: 3
`;

const BAD_PATHS = [
  'preset',
  'capacityThresholdRatio',
  'defrag.threadCount',
  'defrag.intensity',
  'tiers.hot.trim.batchBytes',
  'tiers.lukewarm',
  'windows.0.cron',
  'windows.0.timeZone',
  'windows.0.durationMs',
  'quietHours.0.from',
  'speed',
];

it('names every error of a file with its path', () => {
  const result = parsePolicy(BAD, 'custom');
  const paths = 'problems' in result ? result.problems.map(({ path }) => path) : [];
  expect(paths.sort()).toEqual([...BAD_PATHS].sort());
});

it.each(['61 * * * *', '', '* * * *', 'H 1 * * *', '0 0 30 2 *', '* * * * * *', '@reboot', 'soon'])(
  'names the cron expression %j, which is none',
  (cron) => {
    const text = `windows: [{ cron: ${JSON.stringify(cron)}, durationMs: 1h }]`;
    expect(parsePolicy(text, 'custom')).toMatchObject({ problems: [{ path: 'windows.0.cron' }] });
  },
);

it.each(['0 1 * * 1-5', '*/15 * * * *', '@daily', '0 0 L * *', '30 2 1,15 JAN-MAR SUN'])(
  'takes the cron expression %j',
  (cron) => {
    const text = `windows: [{ cron: ${JSON.stringify(cron)}, durationMs: 1h }]`;
    expect(parsePolicy(text, 'custom')).not.toHaveProperty('problems');
  },
);

it('the example of docs/policy.md sets every field', () => {
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(readFileSync('docs/policy.md', 'utf8')) ?? [];
  const result = parsePolicy(yaml, 'custom');
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  const { document } = result;
  const all = Object.keys(effectivePolicy(document)).filter((key) => key !== 'preset');
  expect(Object.keys(document.overrides).sort()).toEqual(all.sort());
  const { defrag, trim } = effectivePolicy(document);
  expect(Object.keys(document.overrides.defrag ?? {})).toEqual(Object.keys(defrag));
  expect(Object.keys(document.overrides.trim ?? {})).toEqual(Object.keys(trim));
});

it('sets, as the specification prints it, shows, and changes nothing for a bad file', async () => {
  const { path } = await emptyPool();
  const set = ['set-reclamation-policy', '-p', path, '--policy', 'balanced'];
  expect(await node.text(...set)).toBe(
    'Reclamation policy set to: balanced\nDescription: Balanced: Defrag hot tier + regular TRIM\n',
  );
  const show = async () => JSON.parse(await node.text('policy', 'show', '-p', path, '--json'));
  const before = await show();
  expect(before).toMatchObject({ version: 1, preset: 'balanced', overrides: {} });

  const file = join(node.directory, 'bad.yaml');
  writeFileSync(file, BAD);
  const refused = await node.run(['policy', 'set', '-p', path, '--file', file]);
  expect(refused.code).toBe(2);
  for (const bad of BAD_PATHS) expect(refused.stderr).toContain(`  ${bad}: `);
  expect(await show()).toEqual(before);

  writeFileSync(file, 'preset: aggressive\ntrim: { batchBytes: 300M }\n');
  await node.text('policy', 'set', '-p', path, '--file', file, '--no-enabled');
  expect(await show()).toMatchObject({
    version: 2,
    preset: 'aggressive',
    effective: { enabled: false, trim: { batchBytes: 300 * 1024 * 1024 } },
  });
});
