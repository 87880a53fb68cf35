import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tryLockFile } from '../../src/kernel/file-lock.js';
import { firstOutput, killHard, runTypeScript, spawnTypeScript } from '../support/child.js';
import { tempDirectory } from '../support/temp-directory.js';

/** Prints whether it got the lock, then holds it until it is killed. */
const LOCKER = `
  import { tryLockFile } from './src/kernel/file-lock.ts';
  const lock = tryLockFile(process.env.LOCK_PATH);
  console.log(lock === null ? 'refused' : 'locked');
  if (lock !== null) setInterval(() => lock.path, 1000);
`;

function lockPath(): string {
  return join(tempDirectory('lock'), 'agent.lock');
}

it('refuses the lock to a second process, and frees it when the first one is killed', async () => {
  const path = lockPath();
  const holder = spawnTypeScript(LOCKER, { LOCK_PATH: path });
  try {
    expect(await firstOutput(holder)).toBe('locked');
    expect(tryLockFile(path)).toBeNull();
  } finally {
    await killHard(holder);
  }

  const lock = tryLockFile(path);
  expect(lock).not.toBeNull();
  const second = await runTypeScript(LOCKER, { LOCK_PATH: path });
  expect(second.stdout.trim()).toBe('refused');
  lock?.release();
});

it('gives the lock up once, and leaves the file where it is', () => {
  const path = lockPath();
  const first = tryLockFile(path);
  expect(tryLockFile(path)).toBeNull();
  first?.release();
  first?.release();

  {
    using second = tryLockFile(path);
    expect(second?.path).toBe(path);
  }
  expect(tryLockFile(path)?.release()).toBeUndefined();
  expect(existsSync(path)).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('says which file it cannot lock when the directory is missing', () => {
  const path = join(lockPath(), 'missing', 'agent.lock');
  const error = expect.objectContaining({
    code: 'ERR_TARGET_NOT_FOUND',
    message: `cannot open lock file ${path}: No such file or directory (ENOENT)`,
  });
  expect(() => tryLockFile(path)).toThrow(error);
});
