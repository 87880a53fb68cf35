/**
 * Measures what a defragmentation gains: the very data that it is about to move is read cold and
 * timed, and read again where it lies afterwards.
 *
 * Bounded in bytes and time, and skipped, saying so, while others use the disks: then neither time
 * would say anything, and they would be in each other's way.
 */

import { createHash } from 'node:crypto';
import { rotates } from '../domain/device-layers.js';
import { asMaintenanceError } from '../domain/errors.js';
import { type Media, type PaybackFigures, pairReads, type SampledRead } from '../domain/payback.js';
import { isOpen, type Run } from '../domain/runs.js';
import { roundsAgain, SAMPLE_FILE_BYTES, type TimedSource } from '../domain/timed-reads.js';
import { MIB } from '../domain/units.js';
import { readLayers } from '../kernel/device-layers.js';
import { deviceNamesUnder } from '../kernel/load-probe.js';
import { PoolContext } from '../pool/extent-pool/context.js';
import type { FsPoolContext } from '../pool/fs-pool/context.js';
import { whileNobodyElse } from './alone.js';

const SAMPLE_BYTES_MAX = 64 * MIB;
const SAMPLE_ITEMS_MAX = 256;
const DURATION_MS_MAX = 2_000;
const ROUND_COUNT = 6;
/** A run that has just begun, or ended, keeps the processors busy for about as long. */
const ROUND_EVERY_MS = 150;

type AnyContext = PoolContext | FsPoolContext;

/** Something to read, where it lies now, and how much there is of it. */
type Sample = { readonly source: TimedSource; readonly place: string; readonly bytes: number };

/**
 * Before anything of a run is moved. A run is measured once, whatever is restarted.
 *
 * Of reclamations only: nothing else asks whether it paid. On a mount after its scan.
 */
export async function measureBefore(context: AnyContext, run: Run): Promise<void> {
  const { store, clock } = context;
  const reclamationId = store.reclamations.ofRun(run.runId);
  if (run.kind !== 'defrag' || reclamationId === null || store.paybacks.get(run.runId)) return;
  const startedAtMs = clock();
  const trigger = store.reclamations.get(reclamationId)?.trigger ?? run.trigger;
  const payback = {
    runId: run.runId,
    reclamationId,
    trigger,
    media: mediaOf(context),
    startedAtMs,
  };
  const samples =
    context instanceof PoolContext ? samplesOfPool(context, run) : samplesOfMount(context, run);
  const reply = await readCold(context, withinBytes(samples), ROUND_COUNT);
  const skippedReason = 'reads' in reply ? null : reply.skippedReason;
  const reads = 'reads' in reply ? reply.reads : null;
  store.transaction(() => store.paybacks.begin({ ...payback, skippedReason }, reads));
}

/** After a run is over, however it ended; before that it does nothing. */
export async function measureAfter(context: AnyContext, runId: number): Promise<void> {
  const { store, clock } = context;
  const run = store.runs.get(runId);
  const payback = store.paybacks.get(runId);
  if (!run || isOpen(run.state) || !payback || payback.endedAtMs !== null) return;
  const before = store.paybacks.readsBefore(runId);
  const end = (figures: PaybackFigures | null, skippedReason: string | null) =>
    store.transaction(() => store.paybacks.end(runId, clock(), { figures, skippedReason }));
  if (before.length === 0) return end(null, payback.skippedReason ?? 'nothing could be read');
  const roundCount = roundsAgain(before);
  if (roundCount === null) return end(null, 'an older version took the sample before');
  const keys = before.map(({ key }) => key);
  const samples =
    context instanceof PoolContext
      ? keys.flatMap((key) => replicaSample(context, key) ?? [])
      : keys.map((key) => fileSample(context, runId, key));
  const reply = await readCold(context, samples, roundCount);
  if ('skippedReason' in reply) return end(null, reply.skippedReason);
  const { doneBytes, busyMs } = run.progress;
  const pairs = pairReads(before, reply.reads);
  if (pairs.itemCount === 0) return end(null, 'nothing of the sample was moved and is unchanged');
  const figures = { ...pairs, rewrittenBytes: doneBytes, busyMs };
  store.transaction(() => {
    end(figures, null);
    const { reclamationId, media } = payback;
    store.ledger.append({
      ...{ atMs: clock(), event: 'payback-measured', runId, reclamationId },
      figures: { media, ...figures },
    });
  });
}

type ColdReads = { readonly reads: SampledRead[] } | { readonly skippedReason: string };

async function readCold(
  context: AnyContext,
  samples: readonly Sample[],
  roundCount: number,
): Promise<ColdReads> {
  if (samples.length === 0) return { skippedReason: 'there is nothing to move' };
  const mount = context instanceof PoolContext ? null : context.findMount();
  const places = new Map(samples.map(({ source, place }) => [source.key, place]));
  const task = {
    sources: samples.map(({ source }) => source),
    mount: mount && { mountPath: mount.path, mountId: mount.entry.mountId },
    roundCount,
    roundEveryMs: ROUND_EVERY_MS,
    durationMsMax: DURATION_MS_MAX,
  };
  const paths = task.sources.flatMap((one) => ('replica' in one ? [one.replica.path] : []));
  try {
    const reply = await whileNobodyElse(deviceNamesOf(context), (stopFlag) =>
      context.workers.run('time-reads', { ...task, stopFlag }, paths),
    );
    if (!reply || reply.stopped) return { skippedReason: 'others use the disks' };
    return { reads: reply.reads.map((one) => ({ ...one, place: places.get(one.key) ?? '' })) };
  } catch (cause) {
    // Only a measurement: what is wrong with the pool is said by whoever works on it.
    return { skippedReason: asMaintenanceError(cause).message };
  }
}

/** In the order of the run. */
function samplesOfPool(context: PoolContext, { runId }: Run): Sample[] {
  const { candidates, reclamations } = context.store;
  return candidates
    .fragmented(runId, reclamations.scope(runId), SAMPLE_ITEMS_MAX)
    .flatMap(({ extentId, diskId }) => replicaSample(context, `${extentId}/${diskId}`) ?? []);
}

/** @returns null when it is gone, or its disk cannot be read now. */
function replicaSample(context: PoolContext, key: string): Sample | null {
  const [extentId = 0, diskId = 0] = key.split('/').map(Number);
  const found = context.store.extents.replicas(extentId).find((one) => one.diskId === diskId);
  const replica = found ? context.locate(found) : null;
  if (!replica) return null;
  const bytes = replica.runs.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const place = createHash('sha1').update(JSON.stringify(replica.runs)).digest('base64');
  return { source: { kind: 'replica', key, replica }, place, bytes };
}

function samplesOfMount({ store }: FsPoolContext, { runId }: Run): Sample[] {
  return store.candidates.pending(runId, SAMPLE_ITEMS_MAX).map(({ handle, allocatedBytes }) => ({
    source: { kind: 'file', key: handle },
    place: NOT_MOVED,
    bytes: Math.min(allocatedBytes, SAMPLE_FILE_BYTES),
  }));
}

const NOT_MOVED = 'where it was';
const MOVED = 'moved';

/** Nothing but the run says whether it moved a file. */
function fileSample({ store }: FsPoolContext, runId: number, handle: string): Sample {
  const place = store.candidates.isDone(runId, handle) ? MOVED : NOT_MOVED;
  return { source: { kind: 'file', key: handle }, place, bytes: 0 };
}

function withinBytes(samples: readonly Sample[]): Sample[] {
  let leftBytes = SAMPLE_BYTES_MAX;
  return samples.filter(({ bytes }) => {
    if (bytes > leftBytes) return false;
    leftBytes -= bytes;
    return true;
  });
}

function deviceNamesOf(context: AnyContext): readonly string[] {
  if (context instanceof PoolContext) {
    return context.store.disks.all().flatMap(({ path }) => deviceNamesUnder(path));
  }
  return context.findMount()?.devices.map(({ name }) => name) ?? [];
}

/** Rotational when any disk below is; unknown where a host or a file stands behind one. */
function mediaOf(context: AnyContext): Media {
  const found = deviceNamesOf(context).map((name) => {
    const layers = readLayers(name);
    return layers && rotates(layers);
  });
  if (found.includes(true)) return 'rotational';
  return found.length > 0 && found.every((one) => one === false) ? 'solid-state' : 'unknown';
}
