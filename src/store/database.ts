/**
 * Opens a SQLite file the one way that this project trusts: WAL with synchronous FULL, which lost
 * no acknowledged transaction in power-cut tests, where NORMAL did.
 *
 * Only the main thread of a process opens a store; several processes may at once.
 */

import Database from 'better-sqlite3';
import { MaintenanceError } from '../domain/errors.js';

export type Db = Database.Database;
export type Statement = Database.Statement;

/** A writer waits this long for another process's transaction before it gives up. */
const BUSY_TIMEOUT_MS = Number(process.env.DYNAMICFS_STORE_TIMEOUT_MS ?? 10_000);

/** A fragmented free map of a million runs still fits; memory is taken as pages are used. */
const PAGE_CACHE_KIB = 64 * 1024;

export interface OpenOptions {
  readonly create?: boolean;
  readonly readonly?: boolean;
}

export interface StoreOptions extends OpenOptions {
  /** Epoch milliseconds; says to which day belongs what is counted. */
  readonly clock?: () => number;
}

/**
 * @param steps schema steps; `user_version` counts those that the file has.
 * @throws MaintenanceError ERR_NEWER_VERSION when the file has steps that we do not know,
 *   ERR_NOT_A_POOL when it has none, ERR_STORE when it cannot be opened or is no database.
 */
export function openDatabase(
  path: string,
  steps: readonly string[],
  options: OpenOptions = {},
): Db {
  const readonly = options.readonly ?? false;
  let db: Db | undefined;
  try {
    if (readonly) bringUpToDate(path, steps);
    db = new Database(path, { readonly, fileMustExist: !options.create, timeout: BUSY_TIMEOUT_MS });
    db.pragma(`cache_size = -${PAGE_CACHE_KIB}`);
    db.pragma('foreign_keys = ON');
    if (!options.create) refuseForeign(db, path);
    if (!readonly) {
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = FULL');
      // 64 MiB: pages that change again and again are copied into the database less often.
      db.pragma('wal_autocheckpoint = 16000');
    }
    migrate(db, steps, path);
    return db;
  } catch (cause) {
    db?.close();
    throw storeError(cause, path);
  }
}

/** Before anything is written to it: a file of that name may be somebody else's. */
function refuseForeign(db: Db, path: string): void {
  if ((db.pragma('user_version', { simple: true }) as number) > 0) return;
  throw new MaintenanceError('ERR_NOT_A_POOL', `${path} is a database, but not of dynamicfs`, {
    nextStep: 'Check the path; nothing was changed.',
  });
}

/** Who only looks at a store from an older version may do so, if that user may write to it. */
function bringUpToDate(path: string, steps: readonly string[]): void {
  const db = new Database(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  const version = db.pragma('user_version', { simple: true }) as number;
  db.close();
  if (version === 0 || version >= steps.length) return;
  try {
    openDatabase(path, steps).close();
  } catch (cause) {
    throw new MaintenanceError('ERR_STORE', `${path} is from an older version of dynamicfs`, {
      cause,
      nextStep: 'Run any command on the pool as its owner once, which brings it up to date.',
    });
  }
}

function migrate(db: Db, steps: readonly string[], path: string): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > steps.length) {
    throw new MaintenanceError(
      'ERR_NEWER_VERSION',
      `${path} has schema version ${version}; this dynamicfs knows up to ${steps.length}`,
      { nextStep: 'Upgrade dynamicfs to the version that made this pool, or newer.' },
    );
  }
  if (version === steps.length) return;
  transaction(db, () => {
    const current = db.pragma('user_version', { simple: true }) as number;
    for (const step of steps.slice(current)) db.exec(step);
    db.pragma(`user_version = ${steps.length}`);
  });
}

/**
 * Runs `body` in one transaction that holds the write lock from its start, so that what it reads
 * cannot change before it writes.
 *
 * @throws MaintenanceError ERR_STORE when the lock or the disk fails; then nothing was changed.
 */
export function transaction<T>(db: Db, body: () => T): T {
  if (db.inTransaction) return body();
  try {
    return db.transaction(body).immediate();
  } catch (cause) {
    throw storeError(cause, db.name);
  }
}

/**
 * As `transaction`, but a power cut may take it back, whole, and nothing committed before it: for
 * what nobody was promised. A crash of the process loses nothing, and the next commit that is
 * flushed makes this one durable, too.
 *
 * Source: sqlite.org/pragma.html#pragma_synchronous (NORMAL in WAL mode).
 */
export function transactionWithoutFlush<T>(db: Db, body: () => T): T {
  if (db.inTransaction) return body();
  db.pragma('synchronous = NORMAL');
  try {
    return transaction(db, body);
  } finally {
    db.pragma('synchronous = FULL');
  }
}

/** Gives an error of SQLite its code and next step; anything else passes unchanged. */
export function storeError(cause: unknown, path: string): unknown {
  if (!(cause instanceof Database.SqliteError)) return cause;
  const extras = { cause, details: { sqliteCode: cause.code } };
  if (cause.code.startsWith('SQLITE_BUSY') || cause.code.startsWith('SQLITE_LOCKED')) {
    return new MaintenanceError('ERR_STORE', `${path} is locked by another process`, {
      ...extras,
      nextStep:
        'Try again; if it stays locked, find the process with `fuser` and wait for it to end.',
    });
  }
  if (cause.code === 'SQLITE_FULL') {
    return new MaintenanceError('ERR_NO_SPACE', `no space left to write ${path}`, {
      ...extras,
      nextStep: 'Free some space on the file system that holds the pool directory.',
    });
  }
  return new MaintenanceError('ERR_STORE', `${path}: ${cause.message}`, {
    ...extras,
    nextStep:
      'Check that the file can be read and written. If it is damaged, rebuild it with `dynamicfs recover`.',
  });
}
