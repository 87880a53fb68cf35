/** What the governor was told for each run, and what it does now. */

import type { Intensity } from '../domain/defrag-plan.js';
import { defaultBounds, type GovernorBounds } from '../domain/governor.js';
import type { GovernorStatus } from '../domain/governor-pace.js';
import type { RunKind } from '../domain/runs.js';
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

  /** @param statuses of the runs at work, in place of those before. */
  setStatuses(statuses: readonly GovernorStatus[]): void {
    this.#db
      .prepare(
        'INSERT INTO governor VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status',
      )
      .run(JSON.stringify(statuses));
  }

  /** @returns of each run that was at work when this was written last; none before the first. */
  statuses(): GovernorStatus[] {
    const row = this.#db.prepare('SELECT status FROM governor').get() as
      | { status: string }
      | undefined;
    const written = row ? JSON.parse(row.status) : [];
    // Until runs had one each, it was one for all of them.
    return Array.isArray(written) ? written : [];
  }

  /** @returns the most restrained of the runs, or of those of a kind; null when there is none. */
  status(kind?: RunKind): GovernorStatus | null {
    const ofKind = this.statuses().filter((status) => kind === undefined || status.kind === kind);
    return ofKind.sort((a, b) => a.paceRatio - b.paceRatio)[0] ?? null;
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

/** Somebody waits for this run: it keeps its own pace, and pauses for an SLO only. */
export function waitForNobody(
  { governor }: { readonly governor: GovernorStore },
  runId: number,
  sloMs: number | null | undefined,
): void {
  governor.setBounds(runId, { sloMs: sloMs ?? null, pauseOnHighLoad: false });
}
