/** Where this node keeps what belongs to no pool: registry, agent lock and log, embedded Redis. */

import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fromNodeError } from './kernel-error.js';

/**
 * `DYNAMICFS_STATE_DIR`, else /var/lib/dynamicfs for root, else the XDG state directory.
 *
 * Source: XDG Base Directory Specification 0.8 (XDG_STATE_HOME).
 */
export function stateDirectory(): string {
  const asked = process.env.DYNAMICFS_STATE_DIR;
  if (asked) return asked;
  if (process.getuid?.() === 0) return '/var/lib/dynamicfs';
  return join(process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'dynamicfs');
}

/** Makes it if need be. @throws KernelCallError naming it. */
export function makeStateDirectory(): string {
  const path = stateDirectory();
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fromNodeError('make state directory', cause, path);
  }
  return path;
}
