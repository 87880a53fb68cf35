import { defineConfig } from 'vitest/config';
import LongFirst from './test/support/long-first.js';

/** Thousands of power cuts, or a million entries, take as long as they take. */
const IS_LONG = process.env.DYNAMICFS_TEST_LONG === '1';
const MINUTE_MS = 60_000;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/leak-guard.ts',
    reporters: ['default', './test/support/count-reporter.ts'],
    // Processes, since a test may change its priority, its limits or its working directory.
    pool: 'forks',
    // More than the 2 cores of the smallest machine: tests wait for agents and disks.
    maxWorkers: 4,
    // The tests share their disk with each other; those of the governor switch it on.
    env: { DYNAMICFS_GOVERNOR: 'off' },
    sequence: { sequencer: LongFirst },
    // The pools of a file share their threads: what one test spies on is nothing for the next.
    restoreMocks: true,
    // Generous: a test waits for conditions, and a loaded machine takes its time.
    testTimeout: (IS_LONG ? 360 : 4) * MINUTE_MS,
    hookTimeout: 4 * MINUTE_MS,
    teardownTimeout: MINUTE_MS,
  },
});
