/** Key–value rows that describe one pool: what it is, and what is wanted of it. */

import type { Intensity } from '../domain/defrag-plan.js';
import type { FragmentationAnalysis, FragmentationFigures } from '../domain/fragmentation.js';
import type { Tier } from '../domain/heat.js';
import type { TierRatio } from '../domain/reclamation-plan.js';
import { type Db, transaction } from './database.js';

/** What every kind of pool has. */
export interface MaintenanceSettings {
  readonly poolId: string;
  readonly createdAtMs: number;
  readonly defragEnabled: boolean;
  readonly defragIntensity: Intensity;
  readonly defragThreadCount: number;
  /** Of passes; absent where nobody asked for one. */
  readonly defragSloMs?: number | null;
  /** No automatic pass before this, set after a pass that could move nothing. */
  readonly defragNotBeforeMs: number;
  /** Absent before the first `analyze` job. */
  readonly lastAnalysis?: LastAnalysis;
}

/** What the analyses of all kinds of pools have in common. */
export interface LastAnalysis extends FragmentationFigures {
  readonly analyzedAtMs: number;
  readonly tiers: readonly TierRatio[];
}

/** Of an extent pool. */
export interface PoolSettings extends MaintenanceSettings {
  readonly extentBytes: number;
  readonly replicaCount: number;
  readonly lastAnalysis?: FragmentationAnalysis;
  /** When the last trim of the disks of a tier ended; absent before the first. */
  readonly trimmedAtMs?: Readonly<Partial<Record<Tier, number>>>;
}

export class SettingsStore<S extends MaintenanceSettings = PoolSettings> {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  read(): S {
    const rows = this.#db.prepare('SELECT key, value FROM pool_settings').all() as {
      key: string;
      value: string;
    }[];
    return Object.fromEntries(rows.map((row) => [row.key, JSON.parse(row.value)])) as unknown as S;
  }

  write(changes: Partial<S>): void {
    const upsert = this.#db.prepare(
      'INSERT INTO pool_settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    );
    transaction(this.#db, () => {
      for (const [key, value] of Object.entries(changes)) upsert.run(key, JSON.stringify(value));
    });
  }
}
