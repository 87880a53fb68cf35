/** All tables of one file-system pool behind one connection. */

import type { FsAnalysis } from '../domain/fs-analysis.js';
import type { FsType } from '../domain/mounts.js';
import { type Db, openDatabase, transaction, transactionWithoutFlush } from './database.js';
import { FsCandidates } from './fs-candidates.js';
import { GovernorStore } from './governor.js';
import { type LedgerOptions, LedgerStore } from './ledger.js';
import { LoadHourStore } from './load-hours.js';
import { MoveIntents } from './move-intents.js';
import { OwnerStore } from './owner.js';
import { PauseStore } from './pauses.js';
import { PaybackStore } from './paybacks.js';
import { PolicyStore } from './policies.js';
import { ReclamationStore } from './reclamations.js';
import { RunOptionStore } from './run-options.js';
import { RunStore } from './runs.js';
import { FS_POOL_SCHEMA_STEPS } from './schema.js';
import { type MaintenanceSettings, SettingsStore } from './settings.js';
import { TotalStore } from './totals.js';
import { TrendStore } from './trends.js';
import { TriggerStateStore } from './trigger-state.js';
import { TrimDeviceStore } from './trim-devices.js';
import { TrimWindowStore } from './trim-windows.js';

export interface FsPoolSettings extends MaintenanceSettings {
  readonly mountPath: string;
  readonly fileSystemUuid: string;
  readonly fsType: FsType;
  readonly lastAnalysis?: FsAnalysis;
}

export class FsPoolStore {
  readonly settings: SettingsStore<FsPoolSettings>;
  readonly runs: RunStore;
  readonly options: RunOptionStore;
  readonly candidates: FsCandidates;
  readonly intents: MoveIntents;
  readonly trimWindows: TrimWindowStore;
  readonly trimDevices: TrimDeviceStore;
  readonly totals: TotalStore;
  readonly trends: TrendStore;
  readonly paybacks: PaybackStore;
  readonly owner: OwnerStore;
  readonly policies: PolicyStore;
  readonly reclamations: ReclamationStore;
  readonly triggers: TriggerStateStore;
  readonly loadHours: LoadHourStore;
  readonly governor: GovernorStore;
  readonly ledger: LedgerStore;
  readonly pauses: PauseStore;
  readonly #db: Db;

  /** @throws MaintenanceError ERR_STORE, ERR_NEWER_VERSION, as `openDatabase`. */
  constructor(databasePath: string, { clock = Date.now, ...options }: LedgerOptions = {}) {
    const db = openDatabase(databasePath, FS_POOL_SCHEMA_STEPS, options);
    this.#db = db;
    this.ledger = LedgerStore.open(db, { clock, ...options });
    this.settings = new SettingsStore(db);
    this.runs = new RunStore(db, this.ledger, {
      exclusions: (runId) => this.candidates.exclusions(runId),
      diskPath: () => null,
      details: ({ kind, runId }) =>
        kind === 'trim' ? { devices: this.trimDevices.of(runId).map((one) => ({ ...one })) } : {},
    });
    this.options = new RunOptionStore(db);
    this.candidates = new FsCandidates(db);
    this.intents = new MoveIntents(db);
    this.trimWindows = new TrimWindowStore(db);
    this.trimDevices = new TrimDeviceStore(db);
    this.trends = new TrendStore(db, clock);
    this.paybacks = new PaybackStore(db);
    this.totals = new TotalStore(db, this.trends);
    this.owner = new OwnerStore(db);
    this.policies = new PolicyStore(db, this.ledger);
    this.reclamations = new ReclamationStore(db);
    this.triggers = new TriggerStateStore(db);
    this.loadHours = new LoadHourStore(db);
    this.governor = new GovernorStore(db);
    this.pauses = new PauseStore(db);
  }

  /** All or nothing, with the write lock from the start. Nested calls join the outer one. */
  transaction<T>(body: () => T): T {
    return transaction(this.#db, body);
  }

  /** As `transaction`, for what a power cut may take back: what is shown and soon out of date. */
  transactionWithoutFlush<T>(body: () => T): T {
    return transactionWithoutFlush(this.#db, body);
  }

  close(): void {
    this.#db.close();
  }
}
