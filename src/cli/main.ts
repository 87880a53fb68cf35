/** Finds the command, runs it and prints what it throws. bin/run.js calls this and nothing else. */

import { execute, settings } from '@oclif/core';
import { packageRoot } from '../kernel/package-root.js';

/** Sets the exit code itself; when this returns, the command has ended. */
export async function runCommandLine(args: string[]): Promise<void> {
  // oclif would look for the TypeScript sources of the commands when NODE_ENV is test.
  settings.enableAutoTranspile = false;
  await execute({
    args,
    loadOptions: { root: packageRoot(), devPlugins: false, userPlugins: false },
  });
}
