/** Thresholds exactly at their boundary, estimates of runs, and errors that cross a thread. */

import { describe, expect, it } from 'vitest';
import { batchIntervalMs } from '../../src/domain/defrag-plan.js';
import {
  asMaintenanceError,
  ERROR_KINDS,
  type ErrorCode,
  InvariantError,
  MaintenanceError,
} from '../../src/domain/errors.js';
import { isFragmented, ratio, recommend } from '../../src/domain/fragmentation.js';
import {
  estimatedRemainingMs,
  isOpen,
  NO_PROGRESS,
  RUN_STATES,
  type Run,
} from '../../src/domain/runs.js';
import { MIB } from '../../src/domain/units.js';

describe('recommend', () => {
  it.each([
    [0, 'None'],
    [0.15, 'None'],
    [0.150001, 'Consider'],
    [0.3, 'Consider'],
    [0.300001, 'Recommended'],
    [0.5, 'Recommended'],
    [0.500001, 'Urgent'],
    [1, 'Urgent'],
  ])('%d is %s', (fragmentationRatio, text) => {
    expect(recommend(fragmentationRatio)).toBe(text);
  });

  it('an empty pool is not fragmented', () => {
    expect(ratio(0, 0)).toBe(0);
    expect(recommend(ratio(0, 0))).toBe('None');
  });

  it.each([
    [4 * MIB, 1, false],
    [4 * MIB, 2, true],
    [128 * MIB, 2, false],
    [128 * MIB - 1, 2, true],
  ])('%d bytes in %d pieces: fragmented is %s', (sizeBytes, pieces, expected) => {
    expect(isFragmented(sizeBytes, pieces)).toBe(expected);
  });
});

describe('a run', () => {
  const run: Run = {
    runId: 1,
    kind: 'defrag',
    state: 'running',
    trigger: 'manual',
    intensity: 'low',
    threadCount: 1,
    diskId: null,
    secureErase: false,
    batchIndex: 0,
    cursorDiskId: null,
    cursorBytes: 0,
    startedAtMs: 1000,
    endedAtMs: null,
    error: null,
    progress: { ...NO_PROGRESS, plannedCount: 100 },
  };
  const at = (processedCount: number) => ({
    ...run,
    progress: { ...run.progress, processedCount, busyMs: 10_000 },
  });

  it('estimates its end from its pace, and not before there is one', () => {
    expect(estimatedRemainingMs(run)).toBeNull();
    expect(estimatedRemainingMs(at(25))).toBe(30_000);
    expect(estimatedRemainingMs(at(100))).toBe(0);
    expect(estimatedRemainingMs(at(120))).toBe(0);
    expect(estimatedRemainingMs({ ...at(25), state: 'stopped' })).toBeNull();
  });

  it('is open while it is running or paused', () => {
    expect(RUN_STATES.filter(isOpen)).toEqual(['running', 'paused']);
  });

  it('starts batches at the rate of its intensity', () => {
    expect(['low', 'medium', 'high'].map((i) => batchIntervalMs(i as Run['intensity']))).toEqual([
      100, 250, 100,
    ]);
  });
});

describe('errors', () => {
  it.each(Object.keys(ERROR_KINDS) as ErrorCode[])('%s survives a thread or a queue', (code) => {
    const details = { path: '/x', count: 3 };
    const error = new MaintenanceError(code, 'what', { nextStep: 'do this', details });
    const wire = JSON.parse(JSON.stringify(error.toWire()));
    const back = MaintenanceError.fromWire(wire);
    expect(back).toMatchObject({ code, message: 'what', nextStep: 'do this', details });
    expect(back).toMatchObject(ERROR_KINDS[code]);
    expect(back.toWire()).toEqual(wire);
  });

  it('without a next step stay without one', () => {
    const wire = new MaintenanceError('ERR_STORE', 'x').toWire();
    expect(MaintenanceError.fromWire(wire).nextStep).toBeNull();
  });

  it('that nobody expected are a bug, with what was thrown as the cause', () => {
    const cause = new TypeError('no');
    expect(asMaintenanceError(cause)).toMatchObject({
      code: 'ERR_INVARIANT',
      message: 'no',
      cause,
    });
    expect(asMaintenanceError('text')).toMatchObject({ code: 'ERR_INVARIANT', message: 'text' });
    const own = new InvariantError('mine');
    expect(asMaintenanceError(own)).toBe(own);
  });

  it('have an exit code each that no shell uses for something else', () => {
    for (const { exitCode } of Object.values(ERROR_KINDS)) {
      expect(exitCode).toBeGreaterThan(1);
      expect(exitCode).toBeLessThan(255);
    }
  });
});
