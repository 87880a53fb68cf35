/** Empties the page cache, so that what is read next comes from the disk. */

import { spawnSync } from 'node:child_process';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes back and forgets the cached pages of `paths` (files, or directories with all in them), and
 * as root every clean page and inode of the machine.
 *
 * Only this machine's cache: what lies below (a hypervisor, the drive) may still hold the data.
 */
export function dropCaches(paths) {
  for (const path of paths.flatMap(filesIn)) {
    spawnSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], {
      stdio: 'ignore',
    });
  }
  if (process.getuid() === 0) writeFileSync('/proc/sys/vm/drop_caches', '3');
}

/** Writes all that is dirty in these files to the disk. */
export function syncFiles(paths) {
  for (const batch of batches(paths.flatMap(filesIn), 500)) {
    const { status } = spawnSync('sync', batch);
    if (status !== 0) throw new Error(`sync of ${batch.length} files failed`);
  }
}

/** Lets the file system finish what it owes to earlier work: writes, and discards of what was removed. */
export function settle(path) {
  spawnSync('sync', ['-f', path]);
}

export function filesIn(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function batches(items, count) {
  const parts = [];
  for (let at = 0; at < items.length; at += count) parts.push(items.slice(at, at + count));
  return parts;
}
