/** What a policy begins, and what it waits for: `decide` on facts that are made up. */

import { describe, expect, it } from 'vitest';
import { TIERS } from '../../src/domain/heat.js';
import { effectivePolicy, type Policy, type PolicyOverrides } from '../../src/domain/policy.js';
import type { PastReclamation, TriggerFacts } from '../../src/domain/trigger-facts.js';
import { decide, type Trigger, type TriggerVerdict } from '../../src/domain/triggers.js';
import { GIB, MIB } from '../../src/domain/units.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW_MS = Date.UTC(2026, 2, 10, 12);
const FRESH = { count: 100, asOfMs: NOW_MS };

const LONG_PASSED = Object.fromEntries(
  ['capacity', 'fragmentation'].flatMap((trigger) =>
    ['pool', ...TIERS].map((scope) => [`${trigger}/${scope}`, NOW_MS - HOUR_MS]),
  ),
);

/** A pool that was made an hour ago, in which nothing is to be done. */
function facts(changes: Partial<TriggerFacts> = {}): TriggerFacts {
  return {
    nowMs: NOW_MS,
    createdAtMs: NOW_MS - HOUR_MS,
    space: { pool: { capacityBytes: 100 * GIB, usedBytes: 10 * GIB } },
    fragmentation: {
      pool: { ratio: 0.1, ...FRESH },
      hot: { ratio: 0.1, ...FRESH },
      warm: { ratio: 0.1, ...FRESH },
      cold: { ratio: 0.1, ...FRESH },
    },
    freed: { warm: { pendingBytes: 0, trimmedAtMs: NOW_MS - HOUR_MS } },
    recent: [],
    passedSinceMs: LONG_PASSED,
    openRuns: [],
    windows: { openUntilMs: null, openedAtMs: null, opensAtMs: null },
    quietUntilMs: null,
    wornTodayBytes: 0,
    payback: null,
    adaptive: null,
    ...changes,
  };
}

const balanced = (overrides: PolicyOverrides = {}) =>
  effectivePolicy({ preset: 'balanced', overrides });

function past(changes: Partial<PastReclamation> = {}): PastReclamation {
  const endedAtMs = NOW_MS - 2 * HOUR_MS;
  return {
    reclamationId: 1,
    state: 'completed',
    trigger: 'fragmentation',
    scope: null,
    startedAtMs: endedAtMs - HOUR_MS,
    endedAtMs,
    endCause: null,
    helped: true,
    ...changes,
  };
}

const fragmented = {
  fragmentation: { pool: { ratio: 0.4, ...FRESH }, warm: { ratio: 0.4, ...FRESH } },
};

function verdictOf(policy: Policy, given: TriggerFacts, trigger: Trigger, scope = 'pool') {
  const found = decide(policy, given).verdicts.find(
    (one) => one.trigger === trigger && one.scope === scope,
  );
  if (!found) throw new Error(`no verdict for ${trigger} of ${scope}`);
  return found;
}

const chosen = (
  policy: Policy,
  given: TriggerFacts,
): Pick<TriggerVerdict, 'trigger' | 'scope'> | null => {
  const one = decide(policy, given).chosen;
  return one && { trigger: one.trigger, scope: one.scope };
};

describe('a pool in which nothing is to be done', () => {
  it('begins nothing, and says with figures why', () => {
    const { chosen, holds, verdicts } = decide(balanced(), facts());
    expect(chosen).toBeNull();
    expect(holds).toEqual([]);
    for (const { state, reason } of verdicts) {
      expect(reason).not.toBe('');
      expect(['below', 'off']).toContain(state);
    }
  });

  it('begins nothing by schedule just after it was made', () => {
    const given = facts({ createdAtMs: NOW_MS });
    expect(verdictOf(balanced(), given, 'schedule')).toMatchObject({ state: 'below', measured: 0 });
  });
});

describe('capacity', () => {
  const used = (ratio: number) => ({ capacityBytes: 100 * GIB, usedBytes: ratio * 100 * GIB });

  it('fires above the threshold of the pool, not at it', () => {
    expect(chosen(balanced(), facts({ space: { pool: used(0.85) } }))).toBeNull();
    const above = facts({ space: { pool: used(0.86) } });
    expect(chosen(balanced(), above)).toEqual({ trigger: 'capacity', scope: 'pool' });
  });

  it('fires by the threshold of a tier', () => {
    const given = facts({ space: { pool: used(0.5), hot: used(0.89), cold: used(0.81) } });
    expect(chosen(balanced(), given)).toEqual({ trigger: 'capacity', scope: 'cold' });
    const policy = balanced({ tiers: { cold: { capacityThresholdRatio: 0.95 } } });
    expect(chosen(policy, given)).toBeNull();
    expect(verdictOf(policy, given, 'capacity', 'hot')).toMatchObject({ state: 'below' });
  });

  it('is unknown, and fires nothing, where nobody knows how much is used', () => {
    const verdict = verdictOf(balanced(), facts({ space: { pool: null } }), 'capacity');
    expect(verdict).toMatchObject({ state: 'unknown', measured: null });
  });
});

describe('fragmentation', () => {
  it('fires above the threshold of the pool', () => {
    expect(chosen(balanced(), facts(fragmented))).toEqual({
      trigger: 'fragmentation',
      scope: 'pool',
    });
    expect(
      chosen(
        balanced({
          fragmentationThresholdRatio: 0.5,
          tiers: { warm: { fragmentationThresholdRatio: 0.5 } },
        }),
        facts(fragmented),
      ),
    ).toBeNull();
  });

  it('fires by the threshold of a tier that is defragmented', () => {
    const hot = facts({
      fragmentation: { pool: { ratio: 0.2, ...FRESH }, hot: { ratio: 0.26, ...FRESH } },
    });
    expect(chosen(balanced(), hot)).toEqual({ trigger: 'fragmentation', scope: 'hot' });
    const cold = facts({
      fragmentation: { pool: { ratio: 0.2, ...FRESH }, cold: { ratio: 0.9, ...FRESH } },
    });
    expect(chosen(balanced(), cold)).toBeNull();
    expect(verdictOf(balanced(), cold, 'fragmentation', 'cold')).toMatchObject({ state: 'off' });
    const policy = balanced({ tiers: { cold: { defrag: { enabled: true } } } });
    expect(chosen(policy, cold)).toEqual({ trigger: 'fragmentation', scope: 'cold' });
  });

  it('begins nothing where a run would leave every tier alone', () => {
    const given = facts({
      fragmentation: {
        pool: { ratio: 0.5, ...FRESH },
        hot: { ratio: 0.1, ...FRESH },
        warm: { ratio: 0.2, ...FRESH },
        cold: { ratio: 0.9, ...FRESH },
      },
    });
    expect(chosen(balanced(), given)).toBeNull();
    expect(verdictOf(balanced(), given, 'fragmentation')).toMatchObject({ state: 'held' });
  });

  it('is unknown without an analysis, and off where nothing is defragmented', () => {
    const given = facts({ fragmentation: { pool: null } });
    expect(verdictOf(balanced(), given, 'fragmentation')).toMatchObject({ state: 'unknown' });
    const off = balanced({ defrag: { enabled: false } });
    expect(verdictOf(off, facts(fragmented), 'fragmentation')).toMatchObject({ state: 'off' });
  });
});

describe('schedule', () => {
  it('fires one interval after the last began, whatever began it', () => {
    const last = (agoMs: number) =>
      facts({ recent: [past({ trigger: 'manual', startedAtMs: NOW_MS - agoMs })] });
    expect(chosen(balanced(), last(DAY_MS - 1))).toBeNull();
    expect(chosen(balanced(), last(DAY_MS))).toEqual({ trigger: 'schedule', scope: 'pool' });
    expect(chosen(balanced({ scheduleIntervalMs: 2 * DAY_MS }), last(DAY_MS))).toBeNull();
  });

  it('does not count a trim as a reclamation', () => {
    const recent = [
      past({ reclamationId: 2, trigger: 'freed' }),
      past({ startedAtMs: NOW_MS - DAY_MS }),
    ];
    expect(chosen(balanced(), facts({ recent }))).toEqual({ trigger: 'schedule', scope: 'pool' });
  });

  it('goes on at once with what a window ended, and after its interval or window with what the time budget ended', () => {
    const cut = (endCause: PastReclamation['endCause']) => facts({ recent: [past({ endCause })] });
    expect(chosen(balanced(), cut('window-closed'))).toEqual({
      trigger: 'schedule',
      scope: 'pool',
    });
    expect(chosen(balanced(), cut('time-budget'))).toBeNull();
    expect(decide(balanced(), cut('time-budget')).holds).toMatchObject([
      { kind: 'time-budget', untilMs: NOW_MS + 21 * HOUR_MS },
    ]);
    const policy = balanced({
      windows: [{ cron: '0 * * * *', timeZone: 'UTC', durationMs: HOUR_MS }],
    });
    const open = { openUntilMs: NOW_MS + HOUR_MS, opensAtMs: NOW_MS + DAY_MS };
    const same = { windows: { ...open, openedAtMs: NOW_MS - 4 * HOUR_MS } };
    expect(chosen(policy, { ...cut('time-budget'), ...same })).toBeNull();
    const next = { windows: { ...open, openedAtMs: NOW_MS } };
    expect(chosen(policy, { ...cut('time-budget'), ...next })).toEqual({
      trigger: 'schedule',
      scope: 'pool',
    });
  });
});

describe('freed', () => {
  const freed = (pendingBytes: number | null, agoMs = HOUR_MS) =>
    facts({ freed: { warm: { pendingBytes, trimmedAtMs: NOW_MS - agoMs } } });

  it('fires by bytes, or by time when there is anything', () => {
    expect(chosen(balanced(), freed(GIB - 1))).toBeNull();
    expect(chosen(balanced(), freed(GIB))).toEqual({ trigger: 'freed', scope: 'warm' });
    expect(chosen(balanced(), freed(1, DAY_MS))).toEqual({ trigger: 'freed', scope: 'warm' });
    expect(chosen(balanced(), freed(0, DAY_MS))).toBeNull();
  });

  it('fires by time alone where nobody knows how much there is', () => {
    expect(chosen(balanced(), freed(null, DAY_MS - 1))).toBeNull();
    expect(chosen(balanced(), freed(null, DAY_MS))).toEqual({ trigger: 'freed', scope: 'warm' });
  });

  it('fires by the intensity of the tier, and not where its trim is off', () => {
    const given = facts({
      freed: {
        hot: { pendingBytes: 2 * GIB, trimmedAtMs: NOW_MS },
        cold: { pendingBytes: 10 * MIB, trimmedAtMs: NOW_MS },
      },
    });
    expect(chosen(balanced(), given)).toEqual({ trigger: 'freed', scope: 'cold' });
    expect(chosen(balanced({ tiers: { cold: { trim: { enabled: false } } } }), given)).toBeNull();
  });

  it('waits ten minutes after one of the tier', () => {
    const given = freed(GIB);
    const recent = [past({ trigger: 'freed', scope: 'warm', endedAtMs: NOW_MS - 9 * 60_000 })];
    expect(chosen(balanced(), { ...given, recent })).toBeNull();
    const other = [past({ trigger: 'freed', scope: 'cold', endedAtMs: NOW_MS - 9 * 60_000 })];
    expect(chosen(balanced(), { ...given, recent: other })).not.toBeNull();
  });
});

describe('holds', () => {
  const windows = [{ cron: '0 1 * * *', timeZone: 'UTC', durationMs: HOUR_MS }];

  it.each([
    ['engine-off', balanced({ enabled: false }), {}],
    ['quiet-hours', balanced(), { quietUntilMs: NOW_MS + HOUR_MS }],
    ['outside-windows', balanced({ windows }), {}],
    ['reclamation-open', balanced(), { recent: [past({ state: 'paused', endedAtMs: null })] }],
    ['run-open', balanced(), { openRuns: ['defrag'] as const }],
    ['wear-budget', balanced({ wearBudgetBytesPerDay: GIB }), { wornTodayBytes: GIB }],
    ['payback', balanced(), { payback: { backsOffUntilMs: NOW_MS + 1, reason: 'no gain' } }],
  ] as const)('%s keeps what would fire from beginning, and shows it', (kind, policy, changes) => {
    const decision = decide(policy, facts({ ...fragmented, ...changes }));
    expect(decision.chosen).toBeNull();
    expect(decision.holds.map((hold) => hold.kind)).toEqual([kind]);
    const verdict = decision.verdicts.find(
      (one) => one.trigger === 'fragmentation' && one.scope === 'pool',
    );
    expect(verdict).toMatchObject({ state: 'held', heldUntilMs: decision.holds[0]?.untilMs });
  });

  it('holds nothing when a budget is not used up, a back-off is over, or a window is open', () => {
    const policy = balanced({ windows, wearBudgetBytesPerDay: GIB });
    const given = facts({
      ...fragmented,
      wornTodayBytes: GIB - 1,
      payback: { backsOffUntilMs: NOW_MS, reason: 'no gain' },
      windows: { openUntilMs: NOW_MS + 1, openedAtMs: NOW_MS, opensAtMs: null },
    });
    expect(decide(policy, given)).toMatchObject({
      holds: [],
      chosen: { trigger: 'fragmentation' },
    });
  });

  it('lets trims through what is about moving data', () => {
    const given = facts({
      openRuns: ['defrag'],
      payback: { backsOffUntilMs: NOW_MS + 1, reason: 'no gain' },
      freed: { warm: { pendingBytes: GIB, trimmedAtMs: NOW_MS } },
    });
    expect(chosen(balanced(), given)).toEqual({ trigger: 'freed', scope: 'warm' });
  });
});

describe('hysteresis', () => {
  /** @param useless the newest first. */
  const ended = (useless: readonly Partial<PastReclamation>[], agoMs: number) =>
    facts({
      ...fragmented,
      recent: useless.map((one, n) =>
        past({
          helped: false,
          endedAtMs: NOW_MS - agoMs,
          startedAtMs: NOW_MS - agoMs,
          reclamationId: 9 - n,
          ...one,
        }),
      ),
    });

  it.each([1, 2, 4, 8])('waits %d hours after that many doublings', (hours) => {
    const useless = Array.from({ length: Math.log2(hours) + 1 }, () => ({}));
    expect(chosen(balanced(), ended(useless, hours * HOUR_MS - 1))).toBeNull();
    expect(chosen(balanced(), ended(useless, hours * HOUR_MS))).not.toBeNull();
  });

  it('of the whole pool counts for its tiers, and that of a tier for no other', () => {
    const hot = {
      fragmentation: { pool: { ratio: 0.2, ...FRESH }, hot: { ratio: 0.4, ...FRESH } },
    };
    const given = (scope: PastReclamation['scope']) => ({
      ...ended([{ scope }, { scope }], HOUR_MS),
      ...hot,
    });
    expect(chosen(balanced(), given(null))).toBeNull();
    expect(chosen(balanced(), given('hot'))).toBeNull();
    expect(chosen(balanced(), given('warm'))).toEqual({ trigger: 'fragmentation', scope: 'hot' });
  });

  it('waits a week at most', () => {
    const given = ended(
      Array.from({ length: 50 }, () => ({})),
      0,
    );
    const { heldUntilMs } = verdictOf(
      balanced({ scheduleIntervalMs: 365 * DAY_MS }),
      given,
      'fragmentation',
    );
    expect(heldUntilMs).toBe(NOW_MS + 7 * DAY_MS);
  });

  it('begins anew after one that helped, and does not count what a budget ended', () => {
    const helped = ended([{}, { helped: true }, {}, {}, {}], HOUR_MS);
    expect(chosen(balanced(), helped)).not.toBeNull();
    const cut = ended([{ endCause: 'window-closed' }, { helped: true }], 0);
    expect(chosen(balanced(), cut)).not.toBeNull();
  });

  it('waits twice the interval of the schedule after one that did nothing', () => {
    const last = (agoMs: number) =>
      facts({
        recent: [past({ trigger: 'schedule', helped: false, startedAtMs: NOW_MS - agoMs })],
      });
    expect(verdictOf(balanced(), last(DAY_MS), 'schedule')).toMatchObject({ state: 'held' });
    expect(chosen(balanced(), last(2 * DAY_MS))).toEqual({ trigger: 'schedule', scope: 'pool' });
  });

  it('does not begin again what somebody stopped before the next interval', () => {
    const given = ended([{ state: 'stopped', helped: null }], 23 * HOUR_MS);
    expect(chosen(balanced(), given)).toBeNull();
  });
});

describe('a threshold that is passed', () => {
  it.each([
    [undefined, false],
    [0, false],
    [9, false],
    [10, true],
    // Found by a clock that was set back since.
    [-60, false],
  ] as const)('for %s minutes begins a reclamation: %s', (minutes, begins) => {
    const sinceMs =
      minutes === undefined ? {} : { 'fragmentation/pool': NOW_MS - minutes * 60_000 };
    const given = facts({
      fragmentation: { pool: { ratio: 0.4, ...FRESH } },
      passedSinceMs: sinceMs,
    });
    const { chosen: found, passed, verdicts } = decide(balanced(), given);
    expect(passed).toEqual(['fragmentation/pool']);
    expect(found !== null).toBe(begins);
    if (!begins) {
      const verdict = verdicts.find(({ state }) => state === 'held');
      expect(verdict?.reason).toContain('begins if it still is so at');
    }
  });
});
