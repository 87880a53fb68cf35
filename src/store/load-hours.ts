/** What adaptive mode has learned: a row for each hour of the week, 168 at most, and the hour under way. */

import { HOURS_PER_WEEK, type HourKnowledge, UNKNOWN_HOUR } from '../domain/adaptive.js';
import type { HourInProgress } from '../domain/hour-samples.js';
import type { Db } from './database.js';

export const LOAD_HOUR_STEP = `
CREATE TABLE load_hours (
  hour_of_week INTEGER PRIMARY KEY CHECK (hour_of_week BETWEEN 0 AND 167),
  weight REAL NOT NULL,
  load_ratio REAL NOT NULL,
  growth_ratio REAL NOT NULL
);
CREATE TABLE load_hour_now (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  hour TEXT NOT NULL
);
`;

export class LoadHourStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** By hour of the week; those that were never seen are unknown. */
  week(): HourKnowledge[] {
    const week = Array.from({ length: HOURS_PER_WEEK }, () => UNKNOWN_HOUR);
    const sql = `SELECT hour_of_week AS hour, weight, load_ratio AS loadRatio,
      growth_ratio AS growthRatio FROM load_hours`;
    const rows = this.#db.prepare(sql).all() as (HourKnowledge & { hour: number })[];
    for (const { hour, ...known } of rows) week[hour] = known;
    return week;
  }

  set(hourOfWeek: number, { weight, loadRatio, growthRatio }: HourKnowledge): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO load_hours VALUES (?, ?, ?, ?)')
      .run(hourOfWeek, weight, loadRatio, growthRatio);
  }

  /** @returns null before the first look. */
  now(): HourInProgress | null {
    const text = this.#db.prepare('SELECT hour FROM load_hour_now').pluck().get() as
      | string
      | undefined;
    return text === undefined ? null : JSON.parse(text);
  }

  setNow(hour: HourInProgress): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO load_hour_now VALUES (1, ?)')
      .run(JSON.stringify(hour));
  }
}
