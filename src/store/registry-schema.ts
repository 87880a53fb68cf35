/** The tables of the registry, in steps as those of pools. */

const REGISTRY_STEP_1 = `
CREATE TABLE pools (
  pool_id TEXT PRIMARY KEY,
  path TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('extent')),
  registered_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
`;

/** A directory is one extent pool; a mount point may see several file systems come and go. */
const REGISTRY_STEP_2 = `
CREATE TABLE pools_of_kinds (
  pool_id TEXT PRIMARY KEY,
  path TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('extent', 'file-system')),
  registered_at_ms INTEGER NOT NULL,
  file_system_uuid TEXT CHECK ((file_system_uuid IS NULL) = (kind = 'extent'))
) WITHOUT ROWID;
INSERT INTO pools_of_kinds SELECT pool_id, path, kind, registered_at_ms, NULL FROM pools;
DROP TABLE pools;
ALTER TABLE pools_of_kinds RENAME TO pools;
CREATE UNIQUE INDEX pools_by_path ON pools (path) WHERE kind = 'extent';
CREATE UNIQUE INDEX pools_by_mount ON pools (path, file_system_uuid) WHERE kind = 'file-system';
`;

/** `registry.sqlite` in the state directory: which pools this node's agent works on. */
export const REGISTRY_SCHEMA_STEPS: readonly string[] = [REGISTRY_STEP_1, REGISTRY_STEP_2];
