/**
 * The tables of `pool.sqlite`, as numbered steps. A step is never changed once released: a pool
 * made by an older version runs the steps that it lacks, in one transaction.
 */

import { DISK_COUNTER_STEP } from './disk-counters.js';
import { LEDGER_STEP } from './ledger.js';
import { LOAD_HOUR_STEP } from './load-hours.js';
import { PAUSE_STEP } from './pauses.js';
import { PAYBACK_STEP } from './paybacks.js';
import { POLICY_STEP } from './policies.js';
import { RECLAMATION_STEP } from './reclamations.js';
import { DRIVES_STEP, HEALTH_STEP, REPAIR_STEP, SCRUB_STEP, SHORT_STEP } from './schema-healing.js';
import { TREND_STEP } from './trends.js';
import { TRIGGER_STEP } from './trigger-state.js';

/** Shared by the first steps of both kinds of pools; later changes are steps of each. */
const SETTINGS_TABLE = `
CREATE TABLE pool_settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
`;

const RUNS_TABLE = `
CREATE TABLE runs (
  run_id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('defrag', 'evacuate', 'trim')),
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
CREATE UNIQUE INDEX runs_one_open_per_kind ON runs (kind) WHERE state IN ('running', 'paused');
`;

const COUNTER_TABLES = `
CREATE TABLE totals (
  name TEXT PRIMARY KEY,
  value REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE owner (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch INTEGER NOT NULL,
  holder TEXT NOT NULL,
  acquired_at_ms INTEGER NOT NULL
);
`;

/** Every byte of a disk is in exactly one of: header, `journal_segments`, `fragments`, `space_runs`. */
const STEP_1 = `
${SETTINGS_TABLE}
CREATE TABLE disks (
  disk_id INTEGER PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL UNIQUE,
  tier TEXT NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
  capacity_bytes INTEGER NOT NULL,
  reserve_bytes INTEGER NOT NULL,
  granularity_bytes INTEGER NOT NULL,
  evacuating INTEGER NOT NULL DEFAULT 0,
  journal_epoch INTEGER NOT NULL,
  journal_tail_bytes INTEGER NOT NULL,
  journal_stale INTEGER NOT NULL DEFAULT 0,
  added_at_ms INTEGER NOT NULL
);

CREATE TABLE journal_segments (
  disk_id INTEGER NOT NULL REFERENCES disks,
  ordinal INTEGER NOT NULL,
  start_bytes INTEGER NOT NULL,
  length_bytes INTEGER NOT NULL,
  PRIMARY KEY (disk_id, ordinal)
) WITHOUT ROWID;

CREATE TABLE objects (
  object_id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('file', 'symlink', 'directory')),
  size_bytes INTEGER NOT NULL,
  extent_count INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  mtime_ms REAL NOT NULL,
  link_target TEXT,
  stored_at_ms INTEGER NOT NULL
);

CREATE TABLE extents (
  extent_id INTEGER PRIMARY KEY AUTOINCREMENT,
  object_id INTEGER NOT NULL REFERENCES objects,
  extent_index INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  generation INTEGER NOT NULL DEFAULT 1,
  replica_count INTEGER NOT NULL,
  fragment_count INTEGER NOT NULL,
  tier TEXT NOT NULL CHECK (tier IN ('hot', 'warm', 'cold')),
  heat_score REAL,
  read_count INTEGER NOT NULL DEFAULT 0,
  write_count INTEGER NOT NULL DEFAULT 1,
  last_access_at_ms INTEGER
);
CREATE UNIQUE INDEX extents_of_object ON extents (object_id, extent_index);
CREATE INDEX extents_fragmented ON extents (heat_score DESC, extent_id) WHERE fragment_count > 1;

CREATE TABLE fragments (
  extent_id INTEGER NOT NULL REFERENCES extents,
  disk_id INTEGER NOT NULL REFERENCES disks,
  position INTEGER NOT NULL,
  start_bytes INTEGER NOT NULL,
  length_bytes INTEGER NOT NULL,
  PRIMARY KEY (extent_id, disk_id, position)
) WITHOUT ROWID;

CREATE INDEX fragments_of_disk ON fragments (disk_id, extent_id) WHERE position = 0;

CREATE TABLE bad_replicas (
  extent_id INTEGER NOT NULL REFERENCES extents ON DELETE CASCADE,
  disk_id INTEGER NOT NULL REFERENCES disks ON DELETE CASCADE,
  reason TEXT NOT NULL,
  seen_at_ms INTEGER NOT NULL,
  PRIMARY KEY (extent_id, disk_id)
) WITHOUT ROWID;

CREATE TABLE space_runs (
  disk_id INTEGER NOT NULL REFERENCES disks,
  start_bytes INTEGER NOT NULL,
  length_bytes INTEGER NOT NULL CHECK (length_bytes > 0),
  state TEXT NOT NULL CHECK (state IN ('free', 'pending', 'discarding', 'reserved')),
  in_reserve INTEGER NOT NULL,
  owner TEXT,
  failure_count INTEGER NOT NULL DEFAULT 0,
  not_before_ms INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (disk_id, start_bytes)
) WITHOUT ROWID;
CREATE INDEX free_runs_by_length ON space_runs (disk_id, in_reserve, length_bytes, start_bytes)
  WHERE state = 'free';
CREATE INDEX pending_runs_by_length ON space_runs (disk_id, in_reserve, length_bytes, start_bytes)
  WHERE state = 'pending';
CREATE INDEX space_runs_by_owner ON space_runs (owner) WHERE owner IS NOT NULL;

${RUNS_TABLE}
CREATE TABLE run_exclusions (
  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  extent_id INTEGER NOT NULL,
  disk_id INTEGER NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('skipped', 'failed')),
  reason TEXT NOT NULL,
  PRIMARY KEY (run_id, extent_id, disk_id)
) WITHOUT ROWID;

${COUNTER_TABLES}`;

/** Raw block devices beside directories. */
const DEVICES_STEP = `
ALTER TABLE disks ADD COLUMN kind TEXT NOT NULL DEFAULT 'directory'
  CHECK (kind IN ('directory', 'device'));
`;

/** What the governor is told for a run, and what it does now; of both kinds of pools. */
const GOVERNOR_STEP = `
CREATE TABLE run_bounds (
  run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
  slo_ms REAL,
  pause_on_high_load INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE governor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  status TEXT NOT NULL
);
`;

export const POOL_SCHEMA_STEPS: readonly string[] = [
  STEP_1,
  REPAIR_STEP,
  SCRUB_STEP,
  HEALTH_STEP,
  DEVICES_STEP,
  DRIVES_STEP,
  GOVERNOR_STEP,
  POLICY_STEP,
  RECLAMATION_STEP,
  TREND_STEP,
  LEDGER_STEP,
  TRIGGER_STEP,
  SHORT_STEP,
  PAYBACK_STEP,
  PAUSE_STEP,
  LOAD_HOUR_STEP,
  DISK_COUNTER_STEP,
];

/**
 * `pools/<id>/pool.sqlite` in the state directory: what is known of one mounted file system. Rows are
 * bounded by what one run wants to do, never one per file.
 */
const FS_POOL_STEP_1 = `
${SETTINGS_TABLE}
${RUNS_TABLE}
${COUNTER_TABLES}
CREATE TABLE run_options (
  run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
  options TEXT NOT NULL,
  scan TEXT
);

CREATE TABLE run_reasons (
  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  outcome TEXT NOT NULL CHECK (outcome IN ('skipped', 'failed')),
  reason TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (run_id, outcome, reason)
) WITHOUT ROWID;

CREATE TABLE candidates (
  candidate_id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  handle TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'skipped', 'failed')),
  reason TEXT,
  tier_rank INTEGER NOT NULL,
  gain INTEGER NOT NULL,
  allocated_bytes INTEGER NOT NULL,
  fragment_count INTEGER NOT NULL,
  resume_bytes INTEGER NOT NULL DEFAULT 0,
  fragments_after INTEGER,
  UNIQUE (run_id, handle)
);
CREATE INDEX candidates_pending ON candidates (run_id, tier_rank, gain DESC) WHERE state = 'pending';

CREATE TABLE move_intents (
  intent_id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL,
  intent TEXT NOT NULL,
  written_at_ms INTEGER NOT NULL
);

CREATE TABLE trim_windows (
  start_bytes INTEGER PRIMARY KEY,
  record TEXT NOT NULL
);
`;

/** What a trim was seen to do with each device, and the one that it is for, if not for all. */
const FS_POOL_STEP_2 = `
CREATE TABLE trim_devices (
  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  path TEXT NOT NULL,
  is_only INTEGER NOT NULL DEFAULT 0,
  discarded_bytes INTEGER NOT NULL DEFAULT 0,
  confirmed_bytes INTEGER,
  takes_discards INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (run_id, path)
) WITHOUT ROWID;
`;

/** Files that gain about as much have one order, that of their inodes: src/domain/move-order.ts. */
const MOVE_ORDER_STEP = `
ALTER TABLE candidates RENAME COLUMN gain TO gain_class;
`;

export const FS_POOL_SCHEMA_STEPS: readonly string[] = [
  FS_POOL_STEP_1,
  FS_POOL_STEP_2,
  GOVERNOR_STEP,
  POLICY_STEP,
  RECLAMATION_STEP,
  TREND_STEP,
  LEDGER_STEP,
  TRIGGER_STEP,
  PAYBACK_STEP,
  PAUSE_STEP,
  LOAD_HOUR_STEP,
  MOVE_ORDER_STEP,
];
