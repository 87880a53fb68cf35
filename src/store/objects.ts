/** Objects: the files, links and directories that a pool stores, by name. */

import type { Db } from './database.js';

export type ObjectKind = 'file' | 'symlink' | 'directory';

export interface ObjectMetadata {
  /** Path-like, unique in the pool, without a leading slash. */
  readonly name: string;
  readonly kind: ObjectKind;
  readonly sizeBytes: number;
  readonly extentCount: number;
  /** Permission bits, as in chmod(2). */
  readonly mode: number;
  readonly mtimeMs: number;
  readonly linkTarget: string | null;
  readonly storedAtMs: number;
}

export interface ObjectRow extends ObjectMetadata {
  readonly objectId: number;
}

const COLUMNS = `object_id AS objectId, name, kind, size_bytes AS sizeBytes,
  extent_count AS extentCount, mode, mtime_ms AS mtimeMs, link_target AS linkTarget,
  stored_at_ms AS storedAtMs`;

export class ObjectStore {
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Db) {
    this.#statements = prepare(db);
  }

  byName(name: string): ObjectRow | null {
    return (this.#statements.byName.get(name) as ObjectRow | undefined) ?? null;
  }

  byId(objectId: number): ObjectRow | null {
    return (this.#statements.byId.get(objectId) as ObjectRow | undefined) ?? null;
  }

  /** Objects named `prefix` or below it (`prefix/…`), in the order of their names; '' for all. */
  under(prefix: string): IterableIterator<ObjectRow> {
    if (prefix === '') return this.#statements.all.iterate() as IterableIterator<ObjectRow>;
    // '0' is the character after '/': the range holds exactly the names that begin with `prefix/`.
    return this.#statements.under.iterate(
      prefix,
      `${prefix}/`,
      `${prefix}0`,
    ) as IterableIterator<ObjectRow>;
  }

  /** Links, directories and empty files: nothing on a disk stands for them but the journal. */
  idsWithoutExtents(): number[] {
    return this.#statements.withoutExtents.pluck().all() as number[];
  }

  insert(object: ObjectMetadata): number {
    return Number(this.#statements.insert.run(object).lastInsertRowid);
  }

  /** With a known id, for `recover`. */
  insertWithId(object: ObjectRow): void {
    this.#statements.insertWithId.run(object);
  }

  delete(objectId: number): void {
    this.#statements.delete.run(objectId);
  }

  totals(): { objectCount: number; fileCount: number; sizeBytes: number } {
    return this.#statements.totals.get() as ReturnType<ObjectStore['totals']>;
  }
}

function prepare(db: Db) {
  const values = `@name, @kind, @sizeBytes, @extentCount, @mode, @mtimeMs, @linkTarget, @storedAtMs`;
  return {
    byName: db.prepare(`SELECT ${COLUMNS} FROM objects WHERE name = ?`),
    byId: db.prepare(`SELECT ${COLUMNS} FROM objects WHERE object_id = ?`),
    all: db.prepare(`SELECT ${COLUMNS} FROM objects ORDER BY name`),
    under: db.prepare(
      `SELECT ${COLUMNS} FROM objects WHERE name = ? OR (name >= ? AND name < ?) ORDER BY name`,
    ),
    insert: db.prepare(
      `INSERT INTO objects (name, kind, size_bytes, extent_count, mode, mtime_ms, link_target,
         stored_at_ms) VALUES (${values})`,
    ),
    insertWithId: db.prepare(
      `INSERT INTO objects (object_id, name, kind, size_bytes, extent_count, mode, mtime_ms,
         link_target, stored_at_ms) VALUES (@objectId, ${values})`,
    ),
    withoutExtents: db.prepare('SELECT object_id FROM objects WHERE extent_count = 0'),
    delete: db.prepare('DELETE FROM objects WHERE object_id = ?'),
    totals: db.prepare(
      `SELECT COUNT(*) AS objectCount, COALESCE(SUM(kind = 'file'), 0) AS fileCount,
         COALESCE(SUM(size_bytes), 0) AS sizeBytes FROM objects`,
    ),
  };
}
