/**
 * The governor: how much of the time our work may use devices that others use, too. Pure: samples
 * go in, state and pace come out; it knows no clock. docs/governor.md has the reasons and figures.
 *
 *   looking  → full | yielding   after the first samples, in which we do nothing
 *   full     → yielding          others use the devices
 *   yielding → full              nobody has for a while
 *   yielding → paused            they suffer (SLO), or the devices have as much as they can do
 *   paused   → yielding          that has been over for longer
 *   any      → fixed             the devices do not tell: the pace of the intensity alone holds
 */

import type { Intensity } from './defrag-plan.js';

/** What a run was asked for. */
export interface GovernorBounds {
  /** Mean latency that requests of others may have on the devices; null for no such goal. */
  readonly sloMs: number | null;
  /** Whether we stop while the devices have as much as they can do, not only yield. */
  readonly pauseOnHighLoad: boolean;
  readonly intensity: Intensity;
}

/** What a run has that was asked for nothing else: who wants it done at once does not wait for others. */
export function defaultBounds(intensity: Intensity): GovernorBounds {
  return { sloMs: null, pauseOnHighLoad: intensity !== 'high', intensity };
}

/**
 * Share of the time in which we may keep a device busy while others use it, all threads together.
 *
 * A 99th percentile sees what touches one request in a hundred, so at low and medium the share stays
 * well below that. `high` is for who wants it done.
 */
export const YIELD_RATIO: Readonly<Record<Intensity, number>> = {
  low: 0.001,
  medium: 0.002,
  high: 0.25,
};
/** With an SLO that is nearly missed the share goes down to this part of itself. */
const YIELD_PART_MIN = 1 / 16;

/** How long until the next look at the devices. */
export const SAMPLE_EVERY_MS: Readonly<Record<GovernorState, number>> = {
  looking: 50,
  // Whoever works at full pace is felt until others were seen.
  full: 100,
  // Who hardly works has nothing to undo, and each look takes the processor from somebody.
  yielding: 250,
  paused: 250,
  // Where there is nothing to see, it is looked for now and then.
  fixed: 1_000,
};
const FIRST_SAMPLES = 2;

/** Below this, others count as away: a journal or a log writes now and then on every machine. */
const REQUESTS_PER_SEC_MIN = 20;
/** So long with requests of others in each sample; our own journal's commits are shorter. */
const SEEN_MS = 250;
/** So long without, before the full pace. */
const AWAY_MS = 1_000;
/** Of the time: the devices always have something to do. */
const BUSY_RATIO_MAX = 0.9;
/** Of the time somebody on this machine waits for I/O (PSI `some`), while the device is busy, too. */
const STALL_RATIO_MAX = 0.6;
const STALL_BUSY_RATIO_MIN = 0.3;
/** To go on after a pause, load and latency stay below this part of their limits … */
const CALM_PART = 0.7;
/** … for so long in each sample. */
const CALM_MS = 3_000;
/** Of what is smoothed: 90 % of a step shows after 2.3 times this. */
const SMOOTH_MS = 250;

/** Of what we write, so much comes on top for journal and tables, which the kernel writes for us. */
const METADATA_RATIO = 0.25;
/** What of our own bytes has not reached the device after so long is believed this far. */
const LAG_MS = 100;
const READ_LAG_KEPT = 0.5;
const WRITE_LAG_KEPT = 0.8;
/** In so long the share grows by a tenth, or is halved. */
const SHARE_STEP_MS = 100;

/** What happened between two looks at the devices below a pool, of all of them together. */
export interface LoadSample {
  readonly durationMs: number;
  readonly readCount: number;
  readonly writeCount: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  /** Sum over the requests of how long each took. */
  readonly waitedMs: number;
  /** Share of the time in which the busiest device had requests. */
  readonly busyRatio: number;
  /** What our process read from and wrote to all devices. */
  readonly ownReadBytes: number;
  readonly ownWriteBytes: number;
  /** Share of the time in which somebody waited for I/O; null without PSI. */
  readonly stallRatio: number | null;
}

export const GOVERNOR_STATES = ['fixed', 'looking', 'full', 'yielding', 'paused'] as const;
export type GovernorState = (typeof GOVERNOR_STATES)[number];

export const GOVERNOR_CAUSES = [
  'no-figures',
  'switched-off',
  'first-look',
  'nobody-else',
  'others-at-work',
  'slo-missed',
  'device-saturated',
  'io-pressure',
] as const;
export type GovernorCause = (typeof GOVERNOR_CAUSES)[number];

export interface Governing {
  readonly state: GovernorState;
  readonly cause: GovernorCause;
  /** Share of the time in which we may work: 1 at full pace, 0 in a pause. */
  readonly paceRatio: number;
  /** Estimates, smoothed. Null before there are any. */
  readonly foregroundPerSec: number | null;
  readonly latencyMs: number | null;
  readonly busyRatio: number | null;
  readonly stallRatio: number | null;
  /** Our own bytes that the devices have not counted yet. */
  readonly readLagBytes: number;
  readonly writeLagBytes: number;
  readonly sampleCount: number;
  /** Without a break until now. */
  readonly seenMs: number;
  readonly awayMs: number;
  readonly calmMs: number;
}

export const LOOKING: Governing = {
  state: 'looking',
  cause: 'first-look',
  paceRatio: 0,
  foregroundPerSec: null,
  latencyMs: null,
  busyRatio: null,
  stallRatio: null,
  readLagBytes: 0,
  writeLagBytes: 0,
  sampleCount: 0,
  seenMs: 0,
  awayMs: 0,
  calmMs: 0,
};

/** @param sample `no-figures` when devices or our own accounts cannot be read. */
export function govern(
  before: Governing,
  sample: LoadSample | 'no-figures' | 'switched-off',
  bounds: GovernorBounds,
): Governing {
  if (typeof sample === 'string') {
    return { ...LOOKING, state: 'fixed', cause: sample, paceRatio: 1 };
  }
  const seen = look(before.state === 'fixed' ? LOOKING : before, sample);
  const limit = limitOf(seen, bounds);
  const isCalm = limitOf(seen, bounds, CALM_PART) === null;
  const calmMs = isCalm ? before.calmMs + sample.durationMs : 0;
  return decide({ ...seen, calmMs }, limit, bounds, sample.durationMs);
}

/** Others' requests are what the devices did, less what our own bytes explain. */
function look(before: Governing, sample: LoadSample): Governing {
  const { durationMs, readCount, writeCount, readBytes, writeBytes } = sample;
  const ownReads = before.readLagBytes + sample.ownReadBytes;
  const ownWrites = before.writeLagBytes + sample.ownWriteBytes * (1 + METADATA_RATIO);
  const others =
    othersOf(readCount, readBytes, ownReads) + othersOf(writeCount, writeBytes, ownWrites);
  const perSec = durationMs > 0 ? (others / durationMs) * 1_000 : 0;
  const isSeen = perSec >= REQUESTS_PER_SEC_MIN;
  const count = readCount + writeCount;
  const latencyMs = count > 0 ? sample.waitedMs / count : null;
  const weight = 1 - Math.exp(-durationMs / SMOOTH_MS);
  const smooth = (old: number | null, now: number | null) =>
    old === null || now === null ? (now ?? old) : old + (now - old) * weight;
  const lagging = (bytes: number, kept: number) =>
    Math.max(0, bytes) * kept ** (durationMs / LAG_MS);
  return {
    ...before,
    foregroundPerSec: smooth(before.foregroundPerSec, perSec),
    latencyMs: isSeen ? smooth(before.latencyMs, latencyMs) : before.latencyMs,
    busyRatio: smooth(before.busyRatio, sample.busyRatio),
    stallRatio: smooth(before.stallRatio, sample.stallRatio),
    readLagBytes: lagging(ownReads - readBytes, READ_LAG_KEPT),
    writeLagBytes: lagging(ownWrites - writeBytes, WRITE_LAG_KEPT),
    sampleCount: before.sampleCount + 1,
    seenMs: isSeen ? before.seenMs + durationMs : 0,
    awayMs: isSeen ? 0 : before.awayMs + durationMs,
  };
}

function othersOf(count: number, bytes: number, ownBytes: number): number {
  return bytes > ownBytes ? (count * (bytes - ownBytes)) / bytes : 0;
}

/** @returns which limit is passed, or with `part` nearly is; null when none. */
function limitOf(
  { latencyMs, busyRatio, stallRatio, awayMs }: Governing,
  { sloMs, pauseOnHighLoad }: GovernorBounds,
  part = 1,
): GovernorCause | null {
  if (awayMs >= AWAY_MS) return null;
  if (sloMs !== null && latencyMs !== null && latencyMs > sloMs * part) return 'slo-missed';
  if (!pauseOnHighLoad) return null;
  const busy = busyRatio ?? 0;
  if (busy > BUSY_RATIO_MAX * part) return 'device-saturated';
  if ((stallRatio ?? 0) > STALL_RATIO_MAX * part && busy > STALL_BUSY_RATIO_MIN) {
    return 'io-pressure';
  }
  return null;
}

function decide(
  seen: Governing,
  limit: GovernorCause | null,
  bounds: GovernorBounds,
  durationMs: number,
): Governing {
  const isAway = seen.awayMs >= AWAY_MS;
  switch (seen.state) {
    case 'fixed':
    case 'looking':
      if (seen.seenMs > 0) return yielding(seen, bounds, durationMs);
      return seen.sampleCount < FIRST_SAMPLES ? seen : full(seen);
    case 'full':
      return seen.seenMs >= SEEN_MS ? yielding(seen, bounds, durationMs) : seen;
    case 'yielding':
      if (isAway) return full(seen);
      return limit
        ? { ...seen, state: 'paused', cause: limit, paceRatio: 0 }
        : yielding(seen, bounds, durationMs);
    case 'paused':
      if (seen.calmMs < CALM_MS) return limit ? { ...seen, cause: limit } : seen;
      return isAway ? full(seen) : yielding(seen, bounds, durationMs);
  }
}

function full(seen: Governing): Governing {
  return { ...seen, state: 'full', cause: 'nobody-else', paceRatio: 1 };
}

/** Halved while the SLO is near, and back in small steps. */
function yielding(
  seen: Governing,
  { intensity, sloMs }: GovernorBounds,
  durationMs: number,
): Governing {
  const most = YIELD_RATIO[intensity];
  const isNear = sloMs !== null && seen.latencyMs !== null && seen.latencyMs > sloMs * CALM_PART;
  const before = seen.state === 'yielding' ? seen.paceRatio : most;
  const wanted = before * (isNear ? 0.5 : 1.1) ** (durationMs / SHARE_STEP_MS);
  const paceRatio = Math.min(most, Math.max(most * YIELD_PART_MIN, wanted));
  return { ...seen, state: 'yielding', cause: 'others-at-work', paceRatio };
}
