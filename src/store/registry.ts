/** The pools that this node's agent works on, in `registry.sqlite` of the state directory. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Db, openDatabase } from './database.js';
import { REGISTRY_SCHEMA_STEPS } from './registry-schema.js';

export type RegisteredPool = RegisteredExtentPool | RegisteredFileSystem;

export interface RegisteredExtentPool {
  readonly poolId: string;
  readonly path: string;
  readonly kind: 'extent';
  readonly registeredAtMs: number;
  readonly fileSystemUuid: null;
}

/** Recognised again by both: the file system of this UUID, mounted at this path. */
export interface RegisteredFileSystem {
  readonly poolId: string;
  readonly path: string;
  readonly kind: 'file-system';
  readonly registeredAtMs: number;
  readonly fileSystemUuid: string;
}

const COLUMNS = `pool_id AS poolId, path, kind, registered_at_ms AS registeredAtMs,
  file_system_uuid AS fileSystemUuid`;

export class Registry {
  readonly #db: Db;
  readonly #all: { all(): unknown[] };

  constructor(stateDirectory: string) {
    this.#db = openDatabase(fileOf(stateDirectory), REGISTRY_SCHEMA_STEPS, { create: true });
    // Asked by the agent every second.
    this.#all = this.#db.prepare(`SELECT ${COLUMNS} FROM pools ORDER BY registered_at_ms`);
  }

  static exists(stateDirectory: string): boolean {
    return existsSync(fileOf(stateDirectory));
  }

  all(): RegisteredPool[] {
    return this.#all.all() as RegisteredPool[];
  }

  byId(poolId: string): RegisteredPool | null {
    const sql = `SELECT ${COLUMNS} FROM pools WHERE pool_id = ?`;
    return (this.#db.prepare(sql).get(poolId) as RegisteredPool | undefined) ?? null;
  }

  /** File systems that were registered at a mount point, the last first. */
  fileSystemsAt(path: string): RegisteredFileSystem[] {
    const sql = `SELECT ${COLUMNS} FROM pools WHERE kind = 'file-system' AND path = ?
      ORDER BY registered_at_ms DESC`;
    return this.#db.prepare(sql).all(path) as RegisteredFileSystem[];
  }

  /** A pool that moved keeps its id and gets its new path; a new pool at a path replaces the old. */
  register(pool: RegisteredPool): void {
    const known = this.byId(pool.poolId);
    if (known?.path === pool.path) return;
    this.#db
      .prepare(
        'INSERT OR REPLACE INTO pools VALUES (@poolId, @path, @kind, @registeredAtMs, @fileSystemUuid)',
      )
      .run(pool);
  }

  forget(poolId: string): void {
    this.#db.prepare('DELETE FROM pools WHERE pool_id = ?').run(poolId);
  }

  close(): void {
    this.#db.close();
  }
}

function fileOf(stateDirectory: string): string {
  return join(stateDirectory, 'registry.sqlite');
}
