/** nextHealth: the life of a disk, step by step, as the agent looks at it. */

import { expect, it } from 'vitest';
import {
  DISK_ERRORS_MAX,
  type DiskHealth,
  isUnfit,
  NEW_DISK_HEALTH,
  nextHealth,
} from '../../src/domain/disk-health.js';

const GRACE_MS = 300_000;
const AWAY = 'cannot be opened';

function look(health: DiskHealth, problem: string | null, nowMs: number): DiskHealth {
  return nextHealth(health, { problem, nowMs, graceMs: GRACE_MS });
}

it('a disk that is away for a moment is missing, then as before', () => {
  const missing = look(NEW_DISK_HEALTH, AWAY, 1_000);
  expect(missing).toMatchObject({ state: 'missing', reason: AWAY, sinceMs: 1_000 });
  expect(look(missing, AWAY, 1_000 + GRACE_MS - 1)).toBe(missing);
  expect(look(missing, null, 2_000)).toMatchObject({ state: 'healthy', reason: null });
  expect(isUnfit(missing.state)).toBe(false);
});

it('one that stays away is degraded, and verified before it is healthy again', () => {
  const missing = look(NEW_DISK_HEALTH, AWAY, 1_000);
  const degraded = look(missing, AWAY, 1_000 + GRACE_MS);
  expect(degraded.state).toBe('degraded');
  expect(look(degraded, AWAY, 10 * GRACE_MS)).toBe(degraded);
  const returning = look(degraded, null, 10 * GRACE_MS);
  expect(returning.state).toBe('returning');
  expect(isUnfit(returning.state)).toBe(true);
  // Not by looking alone.
  expect(look(returning, null, 11 * GRACE_MS)).toBe(returning);
  expect(look(returning, AWAY, 11 * GRACE_MS).state).toBe('degraded');
});

it('one that errs again and again is degraded though it is there, and rests before it is verified', () => {
  const erring = { ...NEW_DISK_HEALTH, errorCount: DISK_ERRORS_MAX - 1 };
  expect(look(erring, null, 0)).toBe(erring);
  const degraded = look({ ...erring, errorCount: DISK_ERRORS_MAX }, null, 1_000);
  expect(degraded).toMatchObject({ state: 'degraded', reason: '8 reads or writes failed' });
  expect(look(degraded, null, degraded.notBeforeMs - 1)).toBe(degraded);
  const returning = look(degraded, null, degraded.notBeforeMs);
  expect(returning).toMatchObject({ state: 'returning', errorCount: 0 });
  const again = look({ ...returning, errorCount: DISK_ERRORS_MAX }, null, degraded.notBeforeMs + 1);
  expect(again.state).toBe('degraded');
});

it('without grace a disk that is away is degraded at once', () => {
  const now = nextHealth(NEW_DISK_HEALTH, { problem: AWAY, nowMs: 5, graceMs: 0 });
  expect(now).toMatchObject({ state: 'degraded', sinceMs: 5 });
});
