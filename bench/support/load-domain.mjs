/** Decisions as the agent makes them, from their source. */

import { join } from 'node:path';
import { build } from 'esbuild';
import { REPOSITORY } from './child.mjs';

/** @param name of a module in src/domain. @returns what it exports. */
export async function loadDomain(name) {
  const { outputFiles } = await build({
    entryPoints: [join(REPOSITORY, 'src', 'domain', `${name}.ts`)],
    bundle: true,
    format: 'esm',
    write: false,
  });
  const code = Buffer.from(outputFiles[0].contents).toString('base64');
  return await import(`data:text/javascript;base64,${code}`);
}
