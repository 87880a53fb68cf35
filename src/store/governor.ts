/** What the governor was told for each run, and what it does now. */

import type { Intensity } from '../domain/defrag-plan.js';
import { defaultBounds, type GovernorBounds } from '../domain/governor.js';
import type { GovernorStatus } from '../domain/governor-pace.js';
import type { Db } from './database.js';

export class GovernorStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Safe while: the run is there. */
  setBounds(runId: number, { sloMs, pauseOnHighLoad }: Omit<GovernorBounds, 'intensity'>): void {
    this.#db
      .prepare(
        `INSERT INTO run_bounds VALUES (?, ?, ?)
         ON CONFLICT (run_id) DO UPDATE SET slo_ms = excluded.slo_ms,
           pause_on_high_load = excluded.pause_on_high_load`,
      )
      .run(runId, sloMs, pauseOnHighLoad ? 1 : 0);
  }

  /** @returns those of the intensity for a run that was asked for nothing else. */
  bounds(runId: number, intensity: Intensity): GovernorBounds {
    const row = this.#db
      .prepare('SELECT slo_ms, pause_on_high_load FROM run_bounds WHERE run_id = ?')
      .get(runId) as { slo_ms: number | null; pause_on_high_load: number } | undefined;
    if (!row) return defaultBounds(intensity);
    return { sloMs: row.slo_ms, pauseOnHighLoad: row.pause_on_high_load === 1, intensity };
  }

  setStatus(status: GovernorStatus): void {
    this.#db
      .prepare(
        'INSERT INTO governor VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status',
      )
      .run(JSON.stringify(status));
  }

  /** @returns null before the first run. */
  status(): GovernorStatus | null {
    const row = this.#db.prepare('SELECT status FROM governor').get() as
      | { status: string }
      | undefined;
    return row ? JSON.parse(row.status) : null;
  }
}

/**
 * Stores what a new run was asked for beyond its intensity.
 *
 * @param sloMs undefined or null: nothing.
 */
export function askGovernor(
  { governor }: { readonly governor: GovernorStore },
  runId: number,
  intensity: Intensity,
  sloMs: number | null | undefined,
): void {
  if (sloMs === undefined || sloMs === null) return;
  governor.setBounds(runId, { ...defaultBounds(intensity), sloMs });
}
