/**
 * Counts the tests for the last line of `npm test`: `N passed, N failed, N skipped`.
 *
 * A file that does not load, a failed hook and an unhandled error count as one failed each: no
 * test of theirs may have run at all. scripts/test.mjs prints the line, with what it knows besides.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node';

export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
  /** One line for each that was skipped: its file, its name, and why. */
  skips: string[];
}

/** What a condition of `skipIf` in the tests asks for, in words; others are shown as they are. */
const NEEDS: Readonly<Record<string, string>> = {
  '!canMount': 'needs root, for loop devices and mounts',
  '!canFault': 'needs root and nbdfuse (apt: libnbd-bin), for disks that fail',
  '!canMount || !hasNbdfuse': 'needs root and nbdfuse (apt: libnbd-bin), for disks that fail',
  'process.getuid?.() !== 0': 'needs root',
};

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, skips: [] };
    for (const module of modules) countModule(module, counts);

    const directory = process.env.DYNAMICFS_TEST_REPORT;
    if (directory === undefined) return;
    writeFileSync(join(directory, 'counts.json'), JSON.stringify(counts));
  }
}

function countModule(module: TestModule, counts: TestCounts): void {
  counts.failed += module.errors().length;
  for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === 'passed') counts.passed += 1;
    else if (state === 'failed') counts.failed += 1;
    else {
      counts.skipped += 1;
      counts.skips.push(
        `${module.relativeModuleId} > ${test.fullName} (${whySkipped(module, test)})`,
      );
    }
  }
}

/** A condition is all that vitest keeps nothing of, so it is looked up where the test was written. */
function whySkipped(module: TestModule, test: TestCase): string {
  const result = test.result();
  if (result.state === 'pending') return 'the run ended before its turn came';
  if (result.state === 'skipped' && result.note) return result.note;
  // Such as -t of the command line.
  const isChosen = test.options.mode === 'run';
  return isChosen ? 'left out by the command line' : conditionsOf(module.moduleId);
}

/** @returns what the file asks for, in words. */
export function conditionsOf(modulePath: string): string {
  const text = readFileSync(modulePath, 'utf8');
  const found = [...text.matchAll(/\.skipIf\((.+?)\)(?=\(|\.each)/g)].map(([, one = '']) => one);
  const needs = [...new Set(found)].map((one) => NEEDS[one] ?? `skipped where ${one}`);
  return needs.length === 0 ? 'marked as skipped in the file' : needs.join('; or ');
}
