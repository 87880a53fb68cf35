/**
 * Whether moving data pays on a pool: how fast the very same data was read cold before a run and
 * after it, beside what the run wrote. Pure.
 *
 * A pool on which it does not pay is left alone for ever longer: on most SSDs a fragmented file is
 * read as fast as a whole one, and each rewrite wears them.
 */

import { median } from './forecast.js';
import type { TimedRead } from './timed-reads.js';
import { DAY_MS } from './trends.js';
import { formatBytes, GIB, MIB } from './units.js';

// ---- what is kept

/** As a read, and where the data lay then. */
export type SampledRead = TimedRead & { readonly place: string };

export type Media = 'rotational' | 'solid-state' | 'unknown';

/** What came of one run. */
export interface PaybackFigures {
  readonly itemCount: number;
  /** Deleted, changed or not moved meanwhile: they are in neither sum. */
  readonly droppedCount: number;
  readonly sampleBytes: number;
  readonly beforeMs: number;
  readonly afterMs: number;
  /** What the whole run wrote, and how long it was at work. */
  readonly rewrittenBytes: number;
  readonly busyMs: number;
}

export interface Payback {
  readonly runId: number;
  readonly reclamationId: number | null;
  /** Of the reclamation, else of the run. */
  readonly trigger: string;
  readonly media: Media;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  /** Why nothing was measured; null where something was, or will be. */
  readonly skippedReason: string | null;
  readonly figures: PaybackFigures | null;
}

export interface PairedReads {
  readonly itemCount: number;
  readonly droppedCount: number;
  readonly sampleBytes: number;
  readonly beforeMs: number;
  readonly afterMs: number;
}

/** Sums over what is the same content in another place. */
export function pairReads(
  before: readonly SampledRead[],
  after: readonly SampledRead[],
): PairedReads {
  const now = new Map(after.map((read) => [read.key, read]));
  const pairs = before.flatMap((then) => {
    const read = now.get(then.key);
    const isSame = read && read.mark === then.mark && read.bytes === then.bytes;
    return isSame && read.place !== then.place ? [{ then, read }] : [];
  });
  const sum = (pick: (pair: (typeof pairs)[number]) => number) =>
    pairs.reduce((total, pair) => total + pick(pair), 0);
  return {
    itemCount: pairs.length,
    droppedCount: before.length - pairs.length,
    sampleBytes: sum(({ read }) => read.bytes),
    beforeMs: sum(({ then }) => then.ms),
    afterMs: sum(({ read }) => read.ms),
  };
}

// ---- the verdict

export const PAYBACK_VERDICTS = ['pays', 'does-not-pay', 'unknown'] as const;

export type PaybackVerdictKind = (typeof PAYBACK_VERDICTS)[number];

/** For people. */
export const VERDICT_TEXTS: Readonly<Record<PaybackVerdict['verdict'], string>> = {
  pays: 'moving data pays',
  'does-not-pay': 'moving data does not pay',
  unknown: 'whether moving data pays is not known yet',
};

export interface PaybackVerdict {
  readonly verdict: PaybackVerdictKind;
  /** For people, with the figures. */
  readonly text: string;
  readonly media: Media;
  /** Runs that the verdict is made of. */
  readonly runCount: number;
  /** Share of the reading time that was saved, median over these runs; null when unknown. */
  readonly gainRatio: number | null;
  /** Sums over these runs. */
  readonly rewrittenBytes: number;
  /** Milliseconds that reading a rewritten GiB takes less; null when unknown. */
  readonly savedMsPerGib: number | null;
  /** How often all must be read until the time that moving took is won back; null for never. */
  readonly readsToWinBack: number | null;
  /** No trigger moves anything before this; null when nothing holds it back. */
  readonly backsOffUntilMs: number | null;
}

/** How fragmented the pool was when the last run ended, and is now; null where it is not known. */
export interface RatiosSince {
  readonly afterRatio: number | null;
  readonly nowRatio: number | null;
}

/** The last so many runs that were measured count. */
const RUNS_COUNTED = 5;
/** One alone may be chance. */
const RUNS_MIN = 2;
/** Less says nothing. */
const SAMPLE_BYTES_MIN = MIB;
/** It pays when reading takes a tenth less. */
const PAYING_RATIO = 0.1;
const BACK_OFF_DAYS_MAX = 30;
/** It is lifted when the pool is so many times as fragmented as the last run left it. */
const LIFTED_AT = 2;
/** Twice next to nothing is next to nothing. */
const RATIO_MIN = 0.01;

/** @param newestFirst the last runs, measured or not. */
export function judgePayback(
  newestFirst: readonly Payback[],
  nowMs: number,
  ratios: RatiosSince,
): PaybackVerdict {
  const counted = newestFirst
    .filter(isMeasured)
    .slice(0, RUNS_COUNTED)
    .map(({ figures }) => figures);
  const media = newestFirst[0]?.media ?? 'unknown';
  const rewrittenBytes = counted.reduce((sum, one) => sum + one.rewrittenBytes, 0);
  const known = { media, runCount: counted.length, rewrittenBytes };
  if (counted.length < RUNS_MIN) {
    const text = unknownText(counted.length, newestFirst[0]);
    const none = { gainRatio: null, savedMsPerGib: null, readsToWinBack: null };
    return { verdict: 'unknown', text, ...known, ...none, backsOffUntilMs: null };
  }
  const gainRatio = median(counted.map(gainOf));
  const savedMsPerGib = median(counted.map(savedPerGib));
  const readsToWinBack = winBackOf(counted, savedMsPerGib);
  const pays = gainRatio >= PAYING_RATIO;
  const figures = { gainRatio, savedMsPerGib, readsToWinBack };
  return {
    verdict: pays ? 'pays' : 'does-not-pay',
    text: verdictText({ ...known, ...figures }, counted),
    ...known,
    ...figures,
    backsOffUntilMs: pays ? null : backsOffUntil(newestFirst, nowMs, ratios),
  };
}

/** Of the last run that was measured: how long reading its sample took afterwards, of before. */
export interface LastPayback {
  readonly readRatio: number;
  readonly measuredAtMs: number;
}

/** @returns null when none was measured. */
export function lastPayback(newestFirst: readonly Payback[]): LastPayback | null {
  const last = newestFirst.find(isMeasured);
  if (!last || last.figures.beforeMs <= 0) return null;
  const { beforeMs, afterMs } = last.figures;
  return { readRatio: afterMs / beforeMs, measuredAtMs: last.endedAtMs ?? last.startedAtMs };
}

type MeasuredPayback = Payback & { readonly figures: PaybackFigures };

function isMeasured(one: Payback): one is MeasuredPayback {
  return (one.figures?.sampleBytes ?? 0) >= SAMPLE_BYTES_MIN;
}

/** 1, 2, 4 … days after the last run, by how many in a row began by themselves and gained too little. */
function backsOffUntil(
  newestFirst: readonly Payback[],
  nowMs: number,
  { afterRatio, nowRatio }: RatiosSince,
): number | null {
  let failedCount = 0;
  for (const one of newestFirst) {
    // Whoever runs one by hand wants to know anew.
    if (one.trigger === 'manual') break;
    if (!isMeasured(one)) continue;
    if (gainOf(one.figures) >= PAYING_RATIO) break;
    failedCount += 1;
  }
  if (failedCount === 0) return null;
  const isWorse =
    afterRatio !== null &&
    nowRatio !== null &&
    nowRatio >= LIFTED_AT * Math.max(afterRatio, RATIO_MIN);
  if (isWorse) return null;
  const last = newestFirst[0];
  // A clock that was set back must not make the wait longer.
  const sinceMs = Math.min(nowMs, last?.endedAtMs ?? last?.startedAtMs ?? nowMs);
  const untilMs = sinceMs + Math.min(BACK_OFF_DAYS_MAX, 2 ** (failedCount - 1)) * DAY_MS;
  return untilMs > nowMs ? untilMs : null;
}

function gainOf({ beforeMs, afterMs }: PaybackFigures): number {
  return beforeMs > 0 ? (beforeMs - afterMs) / beforeMs : 0;
}

function savedPerGib({ beforeMs, afterMs, sampleBytes }: PaybackFigures): number {
  return ((beforeMs - afterMs) / sampleBytes) * GIB;
}

function winBackOf(counted: readonly PaybackFigures[], savedMsPerGib: number): number | null {
  if (savedMsPerGib <= 0) return null;
  const busyMs = counted.reduce((sum, one) => sum + one.busyMs, 0);
  const rewrittenBytes = counted.reduce((sum, one) => sum + one.rewrittenBytes, 0);
  if (rewrittenBytes === 0) return null;
  return Math.ceil(((busyMs / rewrittenBytes) * GIB) / savedMsPerGib);
}

const MEDIA_NAMES: Readonly<Record<Media, string>> = {
  rotational: 'rotational disks',
  'solid-state': 'solid-state disks',
  unknown: 'disks whose media is not known',
};

function verdictText(
  known: Pick<
    PaybackVerdict,
    'media' | 'runCount' | 'gainRatio' | 'rewrittenBytes' | 'savedMsPerGib' | 'readsToWinBack'
  >,
  counted: readonly PaybackFigures[],
): string {
  const { gainRatio, savedMsPerGib, readsToWinBack, runCount, rewrittenBytes } = known;
  const sampleBytes = counted.reduce((sum, one) => sum + one.sampleBytes, 0);
  const percent = Math.abs((gainRatio ?? 0) * 100).toFixed(1);
  const change = (gainRatio ?? 0) >= 0 ? `${percent}% less` : `${percent}% more`;
  const saved = `${(savedMsPerGib ?? 0).toFixed(1)} ms a GB`;
  const back =
    readsToWinBack === null
      ? 'the time that moving took is never won back'
      : `won back after ${readsToWinBack} reads of all`;
  return `reading took ${change} after the last ${runCount} measured runs (${saved}, of ${formatBytes(sampleBytes)} read cold before and after, on ${MEDIA_NAMES[known.media]}); they rewrote ${formatBytes(rewrittenBytes)}; ${back}`;
}

function unknownText(count: number, last: Payback | undefined): string {
  const skipped = last?.skippedReason ? `; last time: ${last.skippedReason}` : '';
  return `${count} of ${RUNS_MIN} runs measured${skipped}`;
}
