/** Gathers what is known of a pool for `decide` in src/domain/triggers.ts; begins and changes nothing. */

import { statfsSync } from 'node:fs';
import { HOURS_PER_WEEK } from '../domain/adaptive.js';
import { ratio } from '../domain/fragmentation.js';
import { TIERS, type Tier } from '../domain/heat.js';
import { hourOfWeek, zoneOf } from '../domain/hour-samples.js';
import type { Policy } from '../domain/policy.js';
import { quietUntilMs } from '../domain/quiet-hours.js';
import {
  asOfNow,
  beginAsOfNow,
  type TickClock,
  ticked,
  trimAsOfNow,
} from '../domain/tick-clock.js';
import type {
  AdaptiveFact,
  ByScope,
  FragmentationFact,
  FreedFact,
  Scope,
  SpaceFact,
  TriggerFacts,
} from '../domain/trigger-facts.js';
import type { Decision } from '../domain/triggers.js';
import { roundUp } from '../domain/units.js';
import { wornTodayBytes } from '../store/trends.js';
import { windowState } from './cron-window.js';
import { accountDisks } from './extent-pool/audit.js';
import type { PoolContext } from './extent-pool/context.js';
import { FsPoolContext } from './fs-pool/context.js';
import type { MaintenanceContext } from './maintained-pool.js';
import { paybackFact } from './payback.js';

type AnyContext = PoolContext | FsPoolContext;

/**
 * Notes that there is a tick now, by which a clock that was set back shows, and which thresholds it
 * found passed.
 *
 * Safe while: in the transaction that begins what is decided, so that a tick counts once.
 */
export function noteTick(context: MaintenanceContext, { passed }: Decision): void {
  const { triggers } = context.store;
  triggers.setClock(clockOf(context));
  triggers.setPassed(passed, context.clock());
}

/** @param policy the one that holds, unless another one is to be looked at. */
export function triggerFacts(
  context: AnyContext,
  policy: Policy = context.store.policies.effective(),
): TriggerFacts {
  const { store } = context;
  const nowMs = context.clock();
  const clock = clockOf(context);
  const createdAtMs = beginAsOfNow(clock, context.settings().createdAtMs, nowMs);
  const ofKind =
    context instanceof FsPoolContext
      ? fileSystemFacts(context, clock, createdAtMs)
      : extentFacts(context, policy, clock, createdAtMs);
  return {
    nowMs,
    createdAtMs,
    ...ofKind,
    recent: store.triggers.recent().map((past) => asOfNow(clock, past)),
    passedSinceMs: store.triggers.passedSinceMs(),
    openRuns: store.runs.openRuns().map(({ kind }) => kind),
    windows: windowState(policy.windows, nowMs),
    quietUntilMs: quietUntilMs(policy.quietHours, nowMs),
    wornTodayBytes: wornTodayBytes(store, nowMs),
    payback: paybackFact(context),
    adaptive: policy.adaptive ? adaptiveFact(context, policy, nowMs) : null,
  };
}

const HOUR_MS = 60 * 60 * 1000;

function adaptiveFact({ store }: MaintenanceContext, policy: Policy, nowMs: number): AdaptiveFact {
  const zone = zoneOf(policy);
  const { windows, quietHours } = policy;
  const mayBegin = (atMs: number) =>
    (windows.length === 0 || windowState(windows, atMs).openUntilMs !== null) &&
    quietUntilMs(quietHours, atMs) === null;
  const hours = Array.from({ length: HOURS_PER_WEEK }, (_, n) => nowMs + n * HOUR_MS);
  const isAlways = windows.length === 0 && quietHours.length === 0;
  return {
    week: store.loadHours.week(),
    hourOfWeek: hourOfWeek(zone, nowMs),
    allowedHours: isAlways
      ? null
      : new Set(hours.filter(mayBegin).map((atMs) => hourOfWeek(zone, atMs))),
  };
}

function clockOf({ store, clock }: MaintenanceContext): TickClock {
  return ticked(store.triggers.clock(), clock(), {
    newest: store.triggers.recent()[0] ?? null,
    trimmedAtMs: store.totals.read().trim_last_at_ms,
  });
}

type OfKind = Pick<TriggerFacts, 'space' | 'fragmentation' | 'freed'>;

function extentFacts(
  context: PoolContext,
  policy: Policy,
  clock: TickClock,
  createdAtMs: number,
): OfKind {
  const disks = context.store.disks.all();
  const accounts = new Map(accountDisks(context).map((one) => [one.diskId, one]));
  const tiers = TIERS.filter((tier) => disks.some((disk) => disk.tier === tier));
  const spaceOf = (scope: Scope): SpaceFact => {
    let [capacityBytes, usedBytes] = [0, 0];
    for (const { diskId, tier } of disks) {
      const account = accounts.get(diskId);
      if (!account || (scope !== 'pool' && scope !== tier)) continue;
      capacityBytes += account.capacityBytes;
      usedBytes += account.usedBytes + account.pendingBytes;
    }
    return { capacityBytes, usedBytes };
  };
  return {
    space: disks.length === 0 ? {} : byScope(['pool', ...tiers], spaceOf),
    fragmentation: extentFragmentation(context),
    freed: byScope(tiers, (tier) => freedOf(context, policy, clock, createdAtMs, tier)),
  };
}

/** A disk that is away cannot be trimmed, so what it has to give back begins nothing. */
function freedOf(
  context: PoolContext,
  policy: Policy,
  clock: TickClock,
  createdAtMs: number,
  tier: Tier,
): FreedFact {
  const { store } = context;
  const nowMs = context.clock();
  const { discardGranularityBytes } = policy.tiers[tier].trim;
  const pendingBytes = store.disks
    .all()
    .filter((disk) => disk.tier === tier && context.diskState(disk).condition === 'online')
    .map(({ diskId, granularityBytes }) =>
      store.discards.dueTotals(
        diskId,
        nowMs,
        roundUp(Math.max(discardGranularityBytes, granularityBytes), granularityBytes),
      ),
    )
    .reduce((sum, { bytes }) => sum + bytes, 0);
  const lastAtMs = context.settings().trimmedAtMs?.[tier] ?? store.totals.read().trim_last_at_ms;
  const trimmedAtMs = lastAtMs === 0 ? createdAtMs : trimAsOfNow(clock, lastAtMs, nowMs);
  return { pendingBytes, trimmedAtMs };
}

/** A pass that took longer than this is not made anew with each tick. */
const SLOW_PASS_MS = 50;
/** A slow pass holds for so many times as long as it took. */
const SLOW_PASS_KEPT = 1_000;

const slowPasses = new WeakMap<
  PoolContext,
  { readonly facts: ByScope<FragmentationFact>; readonly untilMs: number }
>();

/** By a pass over the catalogue: what an analysis found may be old. */
function extentFragmentation(context: PoolContext): ByScope<FragmentationFact> {
  const known = slowPasses.get(context);
  const beganAtMs = performance.now();
  if (known && beganAtMs < known.untilMs) return known.facts;
  const facts = measuredFragmentation(context);
  const endedAtMs = performance.now();
  const tookMs = endedAtMs - beganAtMs;
  if (tookMs > SLOW_PASS_MS) {
    slowPasses.set(context, { facts, untilMs: endedAtMs + tookMs * SLOW_PASS_KEPT });
  }
  return facts;
}

function measuredFragmentation(context: PoolContext): ByScope<FragmentationFact> {
  const asOfMs = context.clock();
  const sums = context.store.fragmentation.tiers();
  const total = { extentCount: 0, fragmentedCount: 0 };
  for (const { extentCount, fragmentedCount } of sums) {
    total.extentCount += extentCount;
    total.fragmentedCount += fragmentedCount;
  }
  const factOf = (one: typeof total) => ({
    ratio: ratio(one.fragmentedCount, one.extentCount),
    count: one.extentCount,
    asOfMs,
  });
  return {
    pool: factOf(total),
    ...Object.fromEntries(sums.map((sum) => [sum.tier, factOf(sum)])),
  };
}

function fileSystemFacts(context: FsPoolContext, clock: TickClock, createdAtMs: number): OfKind {
  const lastAtMs = context.store.totals.read().trim_last_at_ms;
  const trimmedAtMs = lastAtMs === 0 ? createdAtMs : trimAsOfNow(clock, lastAtMs, context.clock());
  return {
    space: { pool: mountSpace(context) },
    fragmentation: fileFragmentation(context),
    freed: { pool: { pendingBytes: null, trimmedAtMs } },
  };
}

/** @returns null while it is not mounted. */
function mountSpace(context: FsPoolContext): SpaceFact | null {
  const mount = context.findMount();
  if (!mount) return null;
  const { blocks, bfree, bsize } = statfsSync(mount.path);
  return { capacityBytes: blocks * bsize, usedBytes: (blocks - bfree) * bsize };
}

/** What the last analysis found, unless files were moved since. */
function fileFragmentation(context: FsPoolContext): ByScope<FragmentationFact> {
  const { lastAnalysis } = context.settings();
  const moved = context.store.runs.last('defrag');
  const isOld =
    lastAnalysis &&
    moved &&
    moved.progress.doneCount > 0 &&
    (moved.endedAtMs ?? context.clock()) > lastAnalysis.analyzedAtMs;
  if (!lastAnalysis || isOld) return { pool: null };
  const factOf = ({ fragmentationRatio, extentCount }: (typeof lastAnalysis.tiers)[number]) => ({
    ratio: fragmentationRatio,
    count: extentCount,
    asOfMs: lastAnalysis.analyzedAtMs,
  });
  const tiers = lastAnalysis.tiers.filter(({ extentCount }) => extentCount > 0);
  return {
    pool: {
      ratio: lastAnalysis.fragmentationRatio,
      count: lastAnalysis.extentCount,
      asOfMs: lastAnalysis.analyzedAtMs,
    },
    ...Object.fromEntries(tiers.map((tier) => [tier.tier, factOf(tier)])),
  };
}

function byScope<S extends Scope, T>(
  scopes: readonly S[],
  of: (scope: S) => T,
): Partial<Record<Scope, T>> {
  return Object.fromEntries(scopes.map((scope) => [scope, of(scope)])) as Partial<Record<Scope, T>>;
}
