/** What `npm test` says of the tests that it skipped: a count alone would hide that half of them need root. */

import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../src/kernel/package-root.js';
import type { TestCounts } from './support/count-reporter.js';
import { tempDirectory } from './support/temp-directory.js';

const SAMPLE = `
import { describe, it } from 'vitest';
const canMount = false;
const noFish = true;
describe.skipIf(!canMount).each(['ext4'])('a mount of %s', () => { it('moves', () => {}); });
it.skipIf(noFish)('completes in fish', () => {});
it('runs', () => {});
it('looks first', (context) => context.skip('there is no disk here'));
`;

it('names each skipped test with its reason', () => {
  const directory = tempDirectory('skips');
  const report = tempDirectory('report');
  symlinkSync(join(packageRoot(), 'node_modules'), join(directory, 'node_modules'));
  writeFileSync(join(directory, 'sample.test.ts'), SAMPLE);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      join(packageRoot(), 'node_modules/vitest/vitest.mjs'),
      ...['run', '--root', directory],
      `--reporter=${join(packageRoot(), 'test/support/count-reporter.ts')}`,
    ],
    {
      encoding: 'utf8',
      env: { ...process.env, DYNAMICFS_TEST_REPORT: report, VITEST: undefined },
    },
  );
  expect({ status, stdout, stderr }).toMatchObject({ status: 0 });
  const counts: TestCounts = JSON.parse(readFileSync(join(report, 'counts.json'), 'utf8'));
  expect(counts).toMatchObject({ passed: 1, failed: 0, skipped: 3 });
  const either = 'needs root, for loop devices and mounts; or skipped where noFish';
  expect(counts.skips).toEqual([
    `sample.test.ts > a mount of ext4 > moves (${either})`,
    `sample.test.ts > completes in fish (${either})`,
    'sample.test.ts > looks first (there is no disk here)',
  ]);
});
