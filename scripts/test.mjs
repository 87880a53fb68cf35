#!/usr/bin/env node
/**
 * Runs lint, type check, the search for unused code and tests, all of them whatever fails; arguments
 * go to vitest.
 *
 * At the end what was skipped is named with its reason. The last line is `N passed, N failed, N
 * skipped`: vitest's own count, and one failed for each thing besides: lint, type check, unused code, a
 * leak.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
// Outside of the tests' own root, which is gone by the time they are counted.
const reportDirectory = mkdtempSync(join(tmpdir(), 'dynamicfs-report-'));

const problems = [];
if (!succeeds('node_modules/@biomejs/biome/bin/biome', ['check'])) problems.push('lint');
if (!succeeds('node_modules/typescript/bin/tsc', ['--noEmit'])) problems.push('type check');
if (!succeeds('node_modules/knip/bin/knip.js', [])) problems.push('unused code');

const arguments_ = ['run', ...process.argv.slice(2)];
// Reporters of the command line replace those of the configuration.
if (arguments_.some((one) => one.startsWith('--reporter'))) {
  arguments_.push('--reporter=./test/support/count-reporter.ts');
}
const vitestPassed = succeeds('node_modules/vitest/vitest.mjs', arguments_, {
  DYNAMICFS_TEST_REPORT: reportDirectory,
});
const report = readReport('counts.json');
// Without one nobody knows what passed: vitest died.
if (report === null) problems.push('tests (nobody counted them)');
const counts = report ?? { passed: 0, failed: 0, skipped: 0, skips: [] };
const leaks = readReport('leaks.json') ?? [];
rmSync(reportDirectory, { recursive: true, force: true });

problems.push(...leaks.map((leak) => `leak, ${leak}`));
if (!vitestPassed && counts.failed === 0 && leaks.length === 0) {
  problems.push('vitest (no test failed: see above)');
}
for (const skip of counts.skips) console.log(`skipped: ${skip}`);
for (const problem of problems) console.log(`failed: ${problem}`);

const failed = counts.failed + problems.length;
process.exitCode = failed === 0 ? 0 : 1;
console.log(`${counts.passed} passed, ${failed} failed, ${counts.skipped} skipped`);

function succeeds(script, args, extraEnv = {}) {
  const env = { ...process.env, ...extraEnv };
  return spawnSync(process.execPath, [script, ...args], { env, stdio: 'inherit' }).status === 0;
}

function readReport(name) {
  const path = join(reportDirectory, name);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null;
}
