/** Directories for tests, under the root that the leak guard removes. */

import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';

/** A new directory; nobody has to remove it. */
export function tempDirectory(name: string): string {
  const rootPath = process.env.DYNAMICFS_TEST_TMP;
  if (rootPath === undefined) throw new Error('run the tests with vitest.config.ts');
  return mkdtempSync(join(rootPath, `${name}-`));
}
