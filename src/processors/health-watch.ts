/**
 * What the agent looks after every second, beside its runs: bad replicas, and disks that went away,
 * failed or came back.
 */

import type { PoolContext } from '../pool/extent-pool/context.js';
import { lookAtDisks } from '../pool/extent-pool/disk-watch.js';
import { refreshDrives } from '../pool/extent-pool/drives.js';
import { beginDueRepair, beginRereplication } from './repairs.js';

const DISKS_EVERY_MS = 5_000;
const DRIVES_EVERY_MS = 60 * 60_000;
/** While nothing changes, what could not be copied is not looked for all the time. */
const SHORT_EVERY_MS = 60_000;
const DEGRADED_AFTER_S = 300;
const VERIFY_THREADS = 2;

export class HealthWatch {
  readonly #context: PoolContext;
  readonly #graceMs: number;
  #drivesAtMs = 0;
  #disksAtMs = 0;
  #shortAtMs = 0;

  constructor(context: PoolContext) {
    this.#context = context;
    const seconds = Number(process.env.DYNAMICFS_DEGRADED_AFTER_S ?? DEGRADED_AFTER_S);
    this.#graceMs = (Number.isFinite(seconds) ? Math.max(0, seconds) : DEGRADED_AFTER_S) * 1_000;
  }

  look(): void {
    const nowMs = performance.now();
    if (nowMs >= this.#drivesAtMs) {
      this.#drivesAtMs = nowMs + DRIVES_EVERY_MS;
      // Beside everything else: a drive may take long to answer, and nothing depends on it.
      refreshDrives(this.#context).catch(() => {});
    }
    if (nowMs >= this.#disksAtMs) {
      this.#disksAtMs = nowMs + DISKS_EVERY_MS;
      if (lookAtDisks(this.#context, this.#graceMs)) {
        this.#shortAtMs = 0;
        this.#context.store.repairs.tryAllAgain();
      }
      beginReturnScrub(this.#context);
    }
    if (beginDueRepair(this.#context) !== null || nowMs < this.#shortAtMs) return;
    this.#shortAtMs = nowMs + SHORT_EVERY_MS;
    beginRereplication(this.#context);
  }
}

/** A disk that was given up and is back: nobody knows what became of its content meanwhile. */
function beginReturnScrub({ store, clock }: PoolContext): void {
  const back = store.disks
    .all()
    .find(({ diskId }) => store.health.get(diskId).state === 'returning');
  if (!back || store.runs.open('scrub')) return;
  const { diskId } = back;
  store.transaction(() => {
    if (store.runs.open('scrub')) return;
    const planned = store.scrubs.plan(0, diskId);
    const runId = store.runs.insert({
      kind: 'scrub',
      trigger: 'returned-disk',
      intensity: 'high',
      threadCount: VERIFY_THREADS,
      diskId,
      secureErase: false,
      startedAtMs: clock(),
      plannedCount: planned.count,
      plannedBytes: planned.bytes,
    });
    store.scrubs.insert(runId, true, 0);
  });
}
