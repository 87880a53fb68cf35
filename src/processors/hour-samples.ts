/** Looks with each tick how much others use the devices of a pool whose policy is adaptive. */

import { learned, UNKNOWN_HOUR } from '../domain/adaptive.js';
import type { LoadSample } from '../domain/governor.js';
import { looked } from '../domain/hour-samples.js';
import type { TriggerFacts } from '../domain/trigger-facts.js';
import { deviceNamesUnder, LoadProbe } from '../kernel/load-probe.js';
import type { PoolContext } from '../pool/extent-pool/context.js';
import { FsPoolContext } from '../pool/fs-pool/context.js';

type AnyContext = PoolContext | FsPoolContext;

const probes = new WeakMap<AnyContext, LoadProbe>();

/** Safe while: in a transaction. */
export function sampleHour(context: AnyContext, facts: TriggerFacts): void {
  const { adaptive, nowMs, fragmentation } = facts;
  if (!adaptive) return;
  const { loadHours, totals } = context.store;
  const { now, ended } = looked(loadHours.now(), {
    atMs: nowMs,
    hourOfWeek: adaptive.hourOfWeek,
    loadRatio: loadRatio(context),
    fragmentationRatio: fragmentation.pool?.ratio ?? null,
    movedCount: totals.read().defrag_extents_moved,
  });
  loadHours.setNow(now);
  if (!ended) return;
  const known = loadHours.week()[ended.hourOfWeek] ?? UNKNOWN_HOUR;
  loadHours.set(ended.hourOfWeek, learned(known, ended.sample));
}

/** @returns null with the first look, and where the devices do not tell. */
function loadRatio(context: AnyContext): number | null {
  const probe = probes.get(context);
  const sample = probe?.take() ?? null;
  // Where there is nothing to see, devices may have come or gone.
  if (sample === null) probes.set(context, new LoadProbe(deviceNames(context)));
  return sample && othersRatio(sample);
}

/** The time in which the busiest device had requests, less the part of it that our own bytes explain. */
function othersRatio(sample: LoadSample): number {
  const ownBytes = sample.ownReadBytes + sample.ownWriteBytes;
  const allBytes = sample.readBytes + sample.writeBytes;
  if (allBytes === 0) return 0;
  return sample.busyRatio * Math.max(0, 1 - ownBytes / allBytes);
}

function deviceNames(context: AnyContext): readonly string[] {
  if (context instanceof FsPoolContext) {
    return context.findMount()?.devices.map(({ name }) => name) ?? [];
  }
  return context.store.disks.all().flatMap(({ path }) => deviceNamesUnder(path));
}
