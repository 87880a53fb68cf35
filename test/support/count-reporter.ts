/**
 * Counts the tests for the last line of `npm test`: `N passed, N failed, N skipped`.
 *
 * A file that does not load, a failed hook and an unhandled error count as one failed each: no
 * test of theirs may have run at all. scripts/test.mjs prints the line, with what it knows besides.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
}

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const counts: TestCounts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
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
    // Pending: the run ended before its turn came.
    else counts.skipped += 1;
  }
}
