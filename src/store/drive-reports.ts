/** What drives said of themselves when they were last asked. */

import type { DriveReport } from '../domain/drive-health.js';
import type { Db } from './database.js';

export interface StoredDrive {
  /** As sysfs names it. */
  readonly deviceName: string;
  readonly report: DriveReport;
  readonly readAtMs: number;
}

export class DriveReportStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  replace(diskId: number, drives: readonly StoredDrive[]): void {
    this.#db.prepare('DELETE FROM drive_reports WHERE disk_id = ?').run(diskId);
    // Not for a disk that was removed while its drive was asked.
    const insert = this.#db.prepare(
      'INSERT INTO drive_reports SELECT disk_id, ?, ?, ? FROM disks WHERE disk_id = ?',
    );
    for (const { deviceName, report, readAtMs } of drives) {
      insert.run(deviceName, JSON.stringify(report), readAtMs, diskId);
    }
  }

  /** Several where a disk lies on several drives; none before the agent has asked. */
  ofDisk(diskId: number): StoredDrive[] {
    const rows = this.#db
      .prepare(
        `SELECT device_name AS deviceName, report, read_at_ms AS readAtMs FROM drive_reports
         WHERE disk_id = ? ORDER BY device_name`,
      )
      .all(diskId) as (Omit<StoredDrive, 'report'> & { report: string })[];
    return rows.map((row) => ({ ...row, report: JSON.parse(row.report) as DriveReport }));
  }
}
