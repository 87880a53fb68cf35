/** Directories for tests, under the roots that the leak guard removes. */

import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';

/** A new directory; nobody has to remove it. */
export function tempDirectory(name: string): string {
  return directoryUnder(process.env.DYNAMICFS_TEST_TMP, name);
}

/** As `tempDirectory`, in memory where the machine allows it: for what no test looks for on a disk. */
export function memoryDirectory(name: string): string {
  return directoryUnder(process.env.DYNAMICFS_TEST_MEMORY, name);
}

function directoryUnder(rootPath: string | undefined, name: string): string {
  if (rootPath === undefined) throw new Error('run the tests with vitest.config.ts');
  return mkdtempSync(join(rootPath, `${name}-`));
}
