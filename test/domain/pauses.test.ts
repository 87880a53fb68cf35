/** How long a pause still lasts: whatever the clock on the wall does, and over reboots. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isFromOtherBoot, type PauseHold, remainingMs } from '../../src/domain/pauses.js';

const BOOT = { bootId: 'a', sinceBootMs: 50_000 };
const HOUR_MS = 3_600_000;

function hold(remaining = 2 * HOUR_MS, nowMs = 1_000_000): PauseHold {
  return { remainingMs: remaining, asOf: { nowMs, boot: BOOT } };
}

describe('a pause', () => {
  it('lasts as long as it was asked for within one boot, whatever the clock on the wall does', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(4 * HOUR_MS), (nowMs, passedMs) => {
        const boot = { ...BOOT, sinceBootMs: BOOT.sinceBootMs + passedMs };
        expect(remainingMs(hold(), { nowMs, boot })).toBe(2 * HOUR_MS - passedMs);
        expect(isFromOtherBoot(hold(), { nowMs, boot })).toBe(false);
      }),
    );
  });

  it('goes by the clock on the wall over a reboot, and does not grow where that was set back', () => {
    const boot = { bootId: 'b', sinceBootMs: 3_000 };
    const before = hold();
    expect(remainingMs(before, { nowMs: 1_000_000 + HOUR_MS, boot })).toBe(HOUR_MS);
    expect(remainingMs(before, { nowMs: 5, boot })).toBe(2 * HOUR_MS);
    expect(isFromOtherBoot(before, { nowMs: 5, boot })).toBe(true);
  });

  it('goes by the clock on the wall in a container that began anew, and where no boot is known', () => {
    const restarted = { bootId: 'a', sinceBootMs: 10 };
    const now = { nowMs: 1_000_000 + HOUR_MS, boot: restarted };
    expect(remainingMs(hold(), now)).toBe(HOUR_MS);
    expect(isFromOtherBoot(hold(), now)).toBe(true);
    const unknown = { nowMs: 1_000_000 + HOUR_MS, boot: null };
    expect(remainingMs(hold(), unknown)).toBe(HOUR_MS);
    expect(isFromOtherBoot(hold(), unknown)).toBe(false);
  });
});
