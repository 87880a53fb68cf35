/**
 * The clock on the wall of a time zone, by the rules that the JavaScript engine has. Pure.
 *
 * A wall time is kept as the epoch milliseconds that it would be in UTC. On the days when clocks
 * change, a wall time may not exist, or exist twice; what is made of it is for the caller to say.
 */

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
    });
    formats.set(timeZone, format);
  }
  return format;
}

/** @returns what has to be added to UTC for the time on the wall. */
export function zoneOffsetMs(timeZone: string, atMs: number): number {
  if (timeZone === 'UTC') return 0;
  const fields: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(atMs)) {
    fields[type] = Number(value);
  }
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = fields;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1000) * 1000;
}

export function wallTimeMs(timeZone: string, atMs: number): number {
  return atMs + zoneOffsetMs(timeZone, atMs);
}

/** A change of the clock. */
export interface ClockChange {
  /** The first moment after it. */
  readonly atMs: number;
  readonly offsetBeforeMs: number;
  readonly offsetAfterMs: number;
}

/** No zone changes its clock twice within so little, and back. */
const STEP_MS = 24 * 60 * 60 * 1000;

/** @returns the first change after `fromMs`, up to `toMs`; null when there is none. */
export function nextChange(timeZone: string, fromMs: number, toMs: number): ClockChange | null {
  if (timeZone === 'UTC') return null;
  const offsetBeforeMs = zoneOffsetMs(timeZone, fromMs);
  for (let atMs = fromMs; atMs < toMs; atMs += STEP_MS) {
    const endMs = Math.min(atMs + STEP_MS, toMs);
    if (zoneOffsetMs(timeZone, endMs) !== offsetBeforeMs) {
      return changeWithin(timeZone, atMs, endMs, offsetBeforeMs);
    }
  }
  return null;
}

/** @returns the last change after `fromMs`, up to `toMs`; null when there is none. */
export function lastChange(timeZone: string, fromMs: number, toMs: number): ClockChange | null {
  if (timeZone === 'UTC') return null;
  const offsetNowMs = zoneOffsetMs(timeZone, toMs);
  for (let endMs = toMs; endMs > fromMs; endMs -= STEP_MS) {
    const atMs = Math.max(endMs - STEP_MS, fromMs);
    const offsetBeforeMs = zoneOffsetMs(timeZone, atMs);
    if (offsetBeforeMs !== offsetNowMs) return changeWithin(timeZone, atMs, endMs, offsetBeforeMs);
  }
  return null;
}

function changeWithin(
  timeZone: string,
  fromMs: number,
  toMs: number,
  offsetBeforeMs: number,
): ClockChange {
  let [before, after] = [fromMs, toMs];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (zoneOffsetMs(timeZone, middle) === offsetBeforeMs) before = middle;
    else after = middle;
  }
  return { atMs: after, offsetBeforeMs, offsetAfterMs: zoneOffsetMs(timeZone, after) };
}
