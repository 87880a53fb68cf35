/** What a reclamation asks of an extent pool. */

import type { Tier } from '../../domain/heat.js';
import type { PoolStanding, RunScope } from '../../domain/reclamation.js';
import type { ReclamationGround } from '../reclamation.js';
import { accountDisks } from './audit.js';
import type { PoolContext } from './context.js';

export class ExtentPoolGround implements ReclamationGround {
  readonly context: PoolContext;

  constructor(context: PoolContext) {
    this.context = context;
  }

  space(): Omit<PoolStanding, 'fragmentationRatio'> {
    const accounts = accountDisks(this.context);
    const sum = (of: 'capacityBytes' | 'usedBytes' | 'pendingBytes') =>
      accounts.reduce((bytes, account) => bytes + account[of], 0);
    return {
      capacityBytes: sum('capacityBytes'),
      usedBytes: sum('usedBytes'),
      pendingBytes: sum('pendingBytes'),
    };
  }

  planDefrag(scope: RunScope): { count: number; bytes: number } {
    return this.context.store.candidates.planFragmented(scope);
  }

  planTrim(tiers: readonly Tier[]): { count: number; bytes: number } {
    const { store, clock } = this.context;
    const disks = store.disks.all().filter(({ tier }) => tiers.includes(tier));
    const due = disks.map(({ diskId }) => store.discards.dueTotals(diskId, clock()));
    return {
      count: due.reduce((count, one) => count + one.runCount, 0),
      bytes: due.reduce((bytes, one) => bytes + one.bytes, 0),
    };
  }
}
