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
    // On 2 cores, 3 take a tenth less than 2: tests wait for agents and disks. More would compete for
    // one disk, and time out on the smallest machine of a CI.
    maxWorkers: 3,
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
