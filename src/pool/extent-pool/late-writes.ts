/**
 * Writes to the journal or the superblock of a disk that were given up and may still be done, late.
 *
 * Who gives one up leaves a locked file in `late/` of the pool before its transaction is rolled back, so
 * before anybody else can write to the disk. The kernel keeps the lock as long as a thread of that process
 * waits in it, however the process ends. While it is held nobody uses the disk. Once it is free nothing can
 * come late any more, nobody knows what did, and the disk's journal is written anew before anything else is.
 */

import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { InvariantError } from '../../domain/errors.js';
import { type FileLock, isFileLocked, tryLockFile } from '../../kernel/file-lock.js';
import { syncDirectory } from '../../kernel/sync-directory.js';
import type { PoolStore } from '../../store/pool-store.js';

const DIRECTORY = 'late';

/** Says so of a disk. Safe while: in the transaction that wrote. @returns to be given up when the write is back. */
export function noteLateWrite(poolPath: string, diskUuid: string): FileLock {
  const directory = join(poolPath, DIRECTORY);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const id = randomUUID();
  // Nobody looks at it before it is locked.
  const hidden = join(directory, `.${id}`);
  const lock = tryLockFile(hidden);
  if (!lock) throw new InvariantError(`somebody else locked ${hidden}`);
  writeFileSync(hidden, String(process.pid));
  renameSync(hidden, join(directory, `${diskUuid}.${id}`));
  syncDirectory(directory);
  return lock;
}

export interface LateWriter {
  /** Null when it is gone, and nobody has written the journal anew since. */
  readonly pid: number | null;
}

/** @returns null for a disk that nobody has left in that way: nearly always. */
export function lateWriterOf(poolPath: string, diskUuid: string): LateWriter | null {
  const left = leftIn(poolPath).filter(({ uuid }) => uuid === diskUuid);
  if (left.length === 0) return null;
  const waiting = left.find(({ path }) => isFileLocked(path));
  return { pid: waiting ? Number(readFileSync(waiting.path, 'latin1')) : null };
}

/** Has the catalogue remember which journals must be written anew, instead of these files. */
export function settleLateWrites(poolPath: string, store: PoolStore): void {
  const gone = leftIn(poolPath).filter(({ path }) => !isFileLocked(path));
  if (gone.length === 0) return;
  const uuids = new Set(gone.map(({ uuid }) => uuid));
  store.transaction(() => {
    for (const { diskId, uuid } of store.disks.all()) {
      if (uuids.has(uuid)) store.disks.markJournalStale(diskId);
    }
  });
  for (const { path } of gone) rmSync(path, { force: true });
  try {
    rmdirSync(join(poolPath, DIRECTORY));
  } catch {
    // There are others.
  }
}

function leftIn(poolPath: string): { readonly uuid: string; readonly path: string }[] {
  const directory = join(poolPath, DIRECTORY);
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => !name.startsWith('.'))
    .map((name) => ({ uuid: name.split('.')[0] ?? '', path: join(directory, name) }));
}
