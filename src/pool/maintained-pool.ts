/**
 * What maintenance needs of a pool, whichever kind it is: who it is, whose it is now, and its runs.
 *
 * The agent, the processors and the commands that begin, stop and show runs work on this; only what
 * is particular to a kind asks for `ExtentPool` or `FsPool`.
 */

import type { RunExclusion } from '../domain/runs.js';
import type { GovernorStore } from '../store/governor.js';
import type { LedgerStore } from '../store/ledger.js';
import type { LoadHourStore } from '../store/load-hours.js';
import type { OwnerStore } from '../store/owner.js';
import type { PauseStore } from '../store/pauses.js';
import type { PaybackStore } from '../store/paybacks.js';
import type { PolicyStore } from '../store/policies.js';
import type { ReclamationStore } from '../store/reclamations.js';
import type { RunStore } from '../store/runs.js';
import type { MaintenanceSettings } from '../store/settings.js';
import type { TotalStore } from '../store/totals.js';
import type { TrendStore } from '../store/trends.js';
import type { TriggerStateStore } from '../store/trigger-state.js';

/** The tables that every kind of pool has. */
export interface MaintenanceStore {
  readonly settings: {
    read(): MaintenanceSettings;
    write(changes: Partial<MaintenanceSettings>): void;
  };
  readonly runs: RunStore;
  readonly totals: TotalStore;
  readonly trends: TrendStore;
  readonly paybacks: PaybackStore;
  readonly owner: OwnerStore;
  readonly governor: GovernorStore;
  readonly policies: PolicyStore;
  readonly reclamations: ReclamationStore;
  readonly ledger: LedgerStore;
  readonly pauses: PauseStore;
  readonly triggers: TriggerStateStore;
  readonly loadHours: LoadHourStore;
  readonly candidates: { exclusions(runId: number): RunExclusion[] };
  transaction<T>(body: () => T): T;
  transactionWithoutFlush<T>(body: () => T): T;
}

export interface MaintenanceContext {
  readonly poolId: string;
  readonly path: string;
  readonly store: MaintenanceStore;
  readonly clock: () => number;
  /** Fencing epoch while an agent works on the pool; null for other processes. */
  ownerEpoch: number | null;
  settings(): MaintenanceSettings;
  /** @throws MaintenanceError ERR_TARGET_BUSY when another agent took over since. */
  assertOwner(): void;
}

export interface MaintainedPool {
  readonly kind: 'extent' | 'file-system';
  readonly id: string;
  readonly path: string;
  readonly context: MaintenanceContext;
}
