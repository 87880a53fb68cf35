/**
 * A directory that is gone when the benchmark ends, however it ends: return, exception, Ctrl-C.
 *
 * Children are ended first, by their ids, since an agent would go on writing into it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const directories = new Set();
const children = new Set();

process.once('exit', cleanUp);
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
]) {
  process.once(signal, () => process.exit(128 + number));
}

/** Makes an empty directory, as a rule under the system's temporary directory. */
export function scratchDirectory(name, parent = tmpdir()) {
  const path = mkdtempSync(join(parent, `dynamicfs-bench-${name}-`));
  directories.add(path);
  return path;
}

export function removeScratch(path) {
  rmSync(path, { recursive: true, force: true });
  directories.delete(path);
}

/** Ends with the benchmark, unless it ended before. */
export function adopt(child) {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

function cleanUp() {
  for (const child of children) child.kill('SIGKILL');
  for (const path of directories) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}
