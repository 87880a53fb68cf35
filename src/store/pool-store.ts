/** All tables of one pool behind one connection. */

import { type Db, openDatabase, transaction, transactionWithoutFlush } from './database.js';
import { DiscardStore } from './discards.js';
import { DiskCounterStore } from './disk-counters.js';
import { DiskHealthStore } from './disk-health.js';
import { DiskStore } from './disks.js';
import { DriveReportStore } from './drive-reports.js';
import { ExtentStore } from './extents.js';
import { FragmentationQueries } from './fragmentation.js';
import { GovernorStore } from './governor.js';
import { type LedgerOptions, LedgerStore } from './ledger.js';
import { LoadHourStore } from './load-hours.js';
import { ObjectStore } from './objects.js';
import { OwnerStore } from './owner.js';
import { PauseStore } from './pauses.js';
import { PaybackStore } from './paybacks.js';
import { PolicyStore } from './policies.js';
import { ReclamationStore } from './reclamations.js';
import { RepairStore } from './repairs.js';
import { RewriteCandidates } from './rewrite-candidates.js';
import { RunStore } from './runs.js';
import { POOL_SCHEMA_STEPS } from './schema.js';
import { ScrubStore } from './scrubs.js';
import { SettingsStore } from './settings.js';
import { SpaceStore } from './space.js';
import { TierStore } from './tiers.js';
import { TotalStore } from './totals.js';
import { TrendStore } from './trends.js';
import { TriggerStateStore } from './trigger-state.js';

export class PoolStore {
  readonly settings: SettingsStore;
  readonly disks: DiskStore;
  readonly health: DiskHealthStore;
  readonly drives: DriveReportStore;
  readonly counters: DiskCounterStore;
  readonly objects: ObjectStore;
  readonly extents: ExtentStore;
  readonly space: SpaceStore;
  readonly discards: DiscardStore;
  readonly runs: RunStore;
  readonly candidates: RewriteCandidates;
  readonly repairs: RepairStore;
  readonly scrubs: ScrubStore;
  readonly fragmentation: FragmentationQueries;
  readonly tiers: TierStore;
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
    const db = openDatabase(databasePath, POOL_SCHEMA_STEPS, options);
    this.#db = db;
    this.ledger = LedgerStore.open(db, { clock, ...options });
    this.settings = new SettingsStore(db);
    this.disks = new DiskStore(db, this.ledger);
    this.health = new DiskHealthStore(db, this.ledger);
    this.drives = new DriveReportStore(db);
    this.counters = new DiskCounterStore(db);
    this.objects = new ObjectStore(db);
    this.extents = new ExtentStore(db);
    this.space = new SpaceStore(db);
    this.discards = new DiscardStore(db, this.space);
    this.runs = new RunStore(db, this.ledger, {
      exclusions: (runId) => this.candidates.exclusions(runId),
      diskPath: (diskId) => this.disks.get(diskId)?.path ?? null,
      details: ({ runId }) => {
        const scrub = this.scrubs.get(runId);
        if (!scrub) return {};
        const { repairs, repairedCount, unrepairableCount } = scrub;
        return { repairs, repairedCount, unrepairableCount };
      },
    });
    this.candidates = new RewriteCandidates(db);
    this.repairs = new RepairStore(db, this.ledger);
    this.scrubs = new ScrubStore(db);
    this.fragmentation = new FragmentationQueries(db);
    this.tiers = new TierStore(db);
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
    if (this.#db.inTransaction) return body();
    const result = transaction(this.#db, () => {
      const value = body();
      this.counters.save();
      return value;
    });
    this.counters.forget();
    return result;
  }

  /** As `transaction`, for what a power cut may take back: heat, reservations. */
  transactionWithoutFlush<T>(body: () => T): T {
    return transactionWithoutFlush(this.#db, body);
  }

  /** Everything that `body` reads is as of one moment, while others go on writing. */
  snapshot<T>(body: () => T): T {
    return this.#db.inTransaction ? body() : this.#db.transaction(body).deferred();
  }

  /** No object or extent gets this id, or one below it. Safe while: in a transaction. */
  beginIdsAfter(lastId: number): void {
    this.#db.prepare("DELETE FROM sqlite_sequence WHERE name IN ('objects', 'extents')").run();
    const insert = this.#db.prepare('INSERT INTO sqlite_sequence VALUES (?, ?)');
    for (const table of ['objects', 'extents']) insert.run(table, lastId);
  }

  close(): void {
    this.#db.close();
  }
}
