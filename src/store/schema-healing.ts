/** Steps of the schema of an extent pool: what repairs, scrubs and the health of disks need. */

/**
 * Repairs are runs of their own. SQLite changes no CHECK of a table, so `runs` is made anew; what
 * refers to it is set aside meanwhile, since dropping it would delete that, too.
 */
export const REPAIR_STEP = `
CREATE TABLE runs_of_kinds (
  run_id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  trigger TEXT NOT NULL,
  intensity TEXT NOT NULL,
  thread_count INTEGER NOT NULL,
  disk_id INTEGER,
  secure_erase INTEGER NOT NULL DEFAULT 0,
  batch_index INTEGER NOT NULL DEFAULT 0,
  started_at_ms INTEGER NOT NULL,
  ended_at_ms INTEGER,
  error TEXT,
  cursor_disk_id INTEGER,
  cursor_bytes INTEGER NOT NULL DEFAULT 0,
  progress TEXT NOT NULL
);
INSERT INTO runs_of_kinds SELECT * FROM runs;
CREATE TABLE exclusions_aside AS SELECT * FROM run_exclusions;
DROP TABLE run_exclusions;
DROP TABLE runs;
ALTER TABLE runs_of_kinds RENAME TO runs;
CREATE UNIQUE INDEX runs_one_open_per_kind ON runs (kind) WHERE state IN ('running', 'paused');
CREATE TABLE run_exclusions (
  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  extent_id INTEGER NOT NULL,
  disk_id INTEGER NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('skipped', 'failed')),
  reason TEXT NOT NULL,
  PRIMARY KEY (run_id, extent_id, disk_id)
) WITHOUT ROWID;
INSERT INTO run_exclusions SELECT * FROM exclusions_aside;
DROP TABLE exclusions_aside;

ALTER TABLE bad_replicas ADD COLUMN failure_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bad_replicas ADD COLUMN not_before_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE bad_replicas ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

CREATE TABLE replica_findings (
  finding_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id INTEGER,
  what TEXT NOT NULL,
  object_name TEXT NOT NULL,
  extent_index INTEGER NOT NULL,
  extent_id INTEGER NOT NULL,
  disk_path TEXT NOT NULL,
  reason TEXT NOT NULL,
  at_ms INTEGER NOT NULL
);
`;

export const SCRUB_STEP = `
CREATE TABLE scrubs (
  run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
  repairs INTEGER NOT NULL,
  cursor_extent_id INTEGER NOT NULL,
  repaired_count INTEGER NOT NULL DEFAULT 0,
  unrepairable_count INTEGER NOT NULL DEFAULT 0
);
`;

export const HEALTH_STEP = `
CREATE TABLE disk_health (
  disk_id INTEGER PRIMARY KEY REFERENCES disks ON DELETE CASCADE,
  state TEXT NOT NULL,
  reason TEXT,
  since_ms INTEGER NOT NULL,
  error_count INTEGER NOT NULL,
  not_before_ms INTEGER NOT NULL
);
`;

/**
 * Extents that never got all their replicas, since `recover` did not find one of their disks. To look
 * for them among all extents would take too long to do it again and again.
 */
export const SHORT_STEP = `
CREATE TABLE short_extents (
  extent_id INTEGER PRIMARY KEY REFERENCES extents ON DELETE CASCADE
);
INSERT INTO short_extents SELECT e.extent_id FROM extents AS e
  WHERE e.replica_count > (SELECT COUNT(*) FROM fragments AS f
    WHERE f.extent_id = e.extent_id AND f.position = 0);
`;

export const DRIVES_STEP = `
CREATE TABLE drive_reports (
  disk_id INTEGER NOT NULL REFERENCES disks ON DELETE CASCADE,
  device_name TEXT NOT NULL,
  report TEXT NOT NULL,
  read_at_ms INTEGER NOT NULL,
  PRIMARY KEY (disk_id, device_name)
) WITHOUT ROWID;
`;
