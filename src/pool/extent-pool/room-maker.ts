/**
 * Makes long free runs where an extent found none: holds the free space of a window, lets what lives
 * there move away by the rewrite protocol, and gives the window back as one run.
 *
 *   idle → holding windows → idle
 *   After a crash the held space is an orphan reservation, which the next writer returns.
 *
 * Safe while: this process owns the pool.
 */

import { planRoom, type RoomPlan } from '../../domain/make-room.js';
import type { PoolContext } from './context.js';
import { allocatedBytes } from './layout.js';
import type { Move } from './rewrite-target.js';

/** Windows of one disk that are cleared at a time; each costs space that nobody else can use. */
const WINDOWS_PER_DISK = 8;

export class RoomMaker {
  readonly #context: PoolContext;
  readonly #held: { readonly diskId: number; readonly plan: RoomPlan; readonly owner: string }[] =
    [];

  constructor(context: PoolContext) {
    this.#context = context;
  }

  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /**
   * Holds the cheapest windows of a disk.
   *
   * @param sizeBytes the largest extent that found no run.
   * @returns the replicas that must leave them; empty when no window is worth its cost.
   */
  hold(diskId: number, sizeBytes: number, wantedCount: number): Move[] {
    const { store } = this.#context;
    const runs = [...store.fragmentation.placedRuns(diskId)];
    const limit = Math.min(WINDOWS_PER_DISK, wantedCount);
    const plans = planRoom(runs, allocatedBytes(sizeBytes), limit);
    store.transaction(() => {
      for (const plan of plans) {
        const owner = this.#context.writer.newOwner();
        store.space.reserveInside(diskId, plan.window, owner);
        this.#held.push({ diskId, plan, owner });
      }
    });
    return plans.flatMap(({ extentIds, window }) =>
      extentIds.map((extentId) => ({ extentId, diskId, goal: 'make-room' as const, window })),
    );
  }

  /** Holds on to what a replica left behind, before anything is allocated from it. */
  keep({ diskId }: Move): void {
    const { store } = this.#context;
    store.transaction(() => {
      for (const held of this.#held) {
        if (held.diskId === diskId) store.space.reserveInside(diskId, held.plan.window, held.owner);
      }
    });
  }

  /** Gives the windows back, each now as long a run as could be made. */
  release(): void {
    this.#context.store.transaction(() => {
      for (const { owner } of this.#held) this.#context.releaseReservations(owner);
    });
    this.#held.length = 0;
  }
}
