/** Where dynamicfs is installed: the place of what is loaded by path (addon, workers, manifest). */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvariantError } from '../domain/errors.js';

let knownRoot: string | null = null;

/**
 * Finds the directory of dynamicfs's own package.json, above this module.
 *
 * By name and not by a count of `..`, because this code runs from src/, from dist/ and from a
 * bundled chunk, each at its own depth.
 *
 * @throws InvariantError when no directory above is ours.
 */
export function packageRoot(): string {
  knownRoot ??= findPackageRoot(dirname(fileURLToPath(import.meta.url)));
  return knownRoot;
}

function findPackageRoot(startDirectory: string): string {
  for (let directory = startDirectory; ; directory = dirname(directory)) {
    if (packageName(directory) === 'dynamicfs') return directory;
    if (directory === dirname(directory)) {
      throw new InvariantError(`no package.json of dynamicfs above ${startDirectory}`);
    }
  }
}

/** `null` when the directory has no package.json that can be read. */
function packageName(directory: string): unknown {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    return typeof manifest === 'object' && manifest !== null && 'name' in manifest
      ? manifest.name
      : null;
  } catch {
    return null;
  }
}

export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  return String(manifest.version);
}
