/**
 * Windows and quiet hours where clocks change, compared with a walk over every minute that asks
 * `Intl` for the time on the wall and knows nothing of how they are reckoned.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quietUntilMs } from '../../src/domain/quiet-hours.js';
import { windowState } from '../../src/pool/cron-window.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Zones, and a change of their clock: forward, back, by half an hour, over a day. */
const CHANGES = [
  ['Europe/Berlin', '2026-03-29T01:00Z'],
  ['Europe/Berlin', '2026-10-25T01:00Z'],
  ['America/New_York', '2026-03-08T07:00Z'],
  ['America/St_Johns', '2026-11-01T04:30Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  ['Pacific/Apia', '2011-12-30T10:00Z'],
  ['UTC', '2026-03-29T01:00Z'],
] as const;

interface Minute {
  readonly atMs: number;
  /** Minutes since the first of January of the year one, on the wall. */
  readonly wall: number;
}

/** Every minute from four days before the change to four days after it. */
function minutesAround(timeZone: string, change: string): Minute[] {
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    dateStyle: 'short',
    timeStyle: 'short',
  });
  const fromMs = Date.parse(change) - 4 * DAY_MS;
  return Array.from({ length: 8 * 24 * 60 }, (_, n) => {
    const atMs = fromMs + n * MINUTE_MS;
    return { atMs, wall: Date.parse(`${format.format(atMs).replace(' ', 'T')}Z`) / MINUTE_MS };
  });
}

const tables = CHANGES.map(([timeZone, change]) => ({
  timeZone,
  change,
  minutes: minutesAround(timeZone, change),
}));

/** @param hour null for every hour. */
function startsOf(minutes: readonly Minute[], hour: number | null, minute: number): number[] {
  const isStart = (wall: number) =>
    wall % 60 === minute && (hour === null || Math.floor(wall / 60) % 24 === hour);
  let latest = minutes[0]?.wall ?? 0;
  const starts: number[] = [];
  for (const { atMs, wall } of minutes.slice(1)) {
    const skipped = Array.from(
      { length: Math.max(0, wall - latest - 1) },
      (_, n) => latest + 1 + n,
    );
    const isNew = wall > latest;
    if (hour === null ? isStart(wall) : (isNew && isStart(wall)) || skipped.some(isStart)) {
      starts.push(atMs);
    }
    latest = Math.max(latest, wall);
  }
  return starts;
}

const hours = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 23 }));

describe.each(tables)('windows around $change in $timeZone', ({ timeZone, minutes }) => {
  it('open and close as a walk over every minute says', () => {
    fc.assert(
      fc.property(
        fc.option(hours, { nil: null }),
        fc.integer({ min: 0, max: 59 }),
        fc.integer({ min: 1, max: 30 * 60 }),
        fc.integer({ min: 2 * 24 * 60, max: 5 * 24 * 60 }),
        (hour, minute, lengthMinutes, index) => {
          const nowMs = minutes[index]?.atMs ?? 0;
          const durationMs = lengthMinutes * MINUTE_MS;
          const starts = startsOf(minutes, hour, minute);
          const last = starts.filter((start) => start <= nowMs).at(-1) ?? Number.NEGATIVE_INFINITY;
          const isOpen = last + durationMs > nowMs;
          const cron = `${minute} ${hour ?? '*'} * * *`;
          expect(windowState([{ cron, timeZone, durationMs }], nowMs)).toEqual({
            openUntilMs: isOpen ? last + durationMs : null,
            openedAtMs: isOpen ? last : null,
            opensAtMs: starts.find((start) => start > nowMs),
          });
        },
      ),
      { numRuns: 150 },
    );
  });

  it('have quiet hours by the clock on the wall', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 24 * 60 - 1 }),
        fc.integer({ min: 0, max: 24 * 60 - 1 }),
        fc.integer({ min: 2 * 24 * 60, max: 5 * 24 * 60 }),
        (from, to, index) => {
          fc.pre(from !== to);
          const isQuiet = ({ wall }: Minute) => {
            const time = wall % (24 * 60);
            return from < to ? time >= from && time < to : time >= from || time < to;
          };
          const now = minutes[index];
          const over = minutes.slice(index).find((one) => !isQuiet(one));
          const quiet = { from: textOf(from), to: textOf(to), timeZone };
          const expected = now && isQuiet(now) ? over?.atMs : null;
          expect(quietUntilMs([quiet], now?.atMs ?? 0)).toBe(expected);
        },
      ),
      { numRuns: 150 },
    );
  });
});

function textOf(minutes: number): string {
  return [Math.floor(minutes / 60), minutes % 60].map((n) => String(n).padStart(2, '0')).join(':');
}

describe('windows', () => {
  const at = (text: string) => Date.parse(text);
  const nightly = { cron: '30 2 * * *', timeZone: 'Europe/Berlin', durationMs: 60 * MINUTE_MS };

  it('whose start the clock goes over open when it does', () => {
    const { openUntilMs, openedAtMs } = windowState([nightly], at('2026-03-29T01:20Z'));
    expect([openedAtMs, openUntilMs]).toEqual([at('2026-03-29T01:00Z'), at('2026-03-29T02:00Z')]);
  });

  it('whose start comes twice open the first time only', () => {
    const during = windowState([nightly], at('2026-10-25T01:29Z'));
    expect(during.openUntilMs).toBe(at('2026-10-25T01:30Z'));
    const second = windowState([nightly], at('2026-10-25T01:40Z'));
    expect(second).toMatchObject({ openUntilMs: null, opensAtMs: at('2026-10-26T01:30Z') });
    // So late that only the second time lies within the length of the window.
    expect(windowState([nightly], at('2026-10-25T02:10Z')).openUntilMs).toBeNull();
  });

  it('of several the one that is open longest counts, and the next of any', () => {
    const long = { cron: '0 0 * * *', timeZone: 'UTC', durationMs: 5 * 60 * MINUTE_MS };
    const short = { cron: '0 1 * * *', timeZone: 'UTC', durationMs: 60 * MINUTE_MS };
    expect(windowState([long, short], at('2026-01-05T01:30Z'))).toEqual({
      openUntilMs: at('2026-01-05T05:00Z'),
      openedAtMs: at('2026-01-05T01:00Z'),
      opensAtMs: at('2026-01-06T00:00Z'),
    });
  });

  it('on a day that comes once in four years are found', () => {
    const leap = { cron: '0 0 29 2 *', timeZone: 'Europe/Berlin', durationMs: MINUTE_MS };
    expect(windowState([leap], at('2026-01-01T00:00Z')).opensAtMs).toBe(at('2028-02-28T23:00Z'));
  });
});

describe('quiet hours', () => {
  it('that follow each other are over when the last is', () => {
    const morning = { from: '06:00', to: '12:00', timeZone: 'UTC' };
    const evening = { from: '12:00', to: '20:00', timeZone: 'UTC' };
    const nowMs = Date.parse('2026-01-05T07:00Z');
    expect(quietUntilMs([morning, evening], nowMs)).toBe(Date.parse('2026-01-05T20:00Z'));
    expect(quietUntilMs([evening], nowMs)).toBeNull();
  });
});
