/** Loads the C++ addon. Only src/kernel does so: everybody else calls the functions beside this. */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Addon } from '../../native/addon.js';
import { MaintenanceError } from '../domain/errors.js';
import { packageRoot } from './package-root.js';

let loaded: Addon | null = null;

/**
 * Returns the addon, loaded on first use, so that commands which call no kernel start without it.
 *
 * @throws MaintenanceError ERR_UNSUPPORTED when it is not built or was built for another machine.
 */
export function kernelAddon(): Addon {
  loaded ??= loadAddon(join(packageRoot(), 'native', 'build', 'dynamicfs.node'));
  return loaded;
}

function loadAddon(path: string): Addon {
  try {
    // The build makes the file from addon.cc; a test compares its functions with addon.d.ts.
    return createRequire(import.meta.url)(path) as Addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause);
    throw new MaintenanceError('ERR_UNSUPPORTED', `cannot load ${path}: ${reason}`, {
      nextStep: 'The addon is not built for this machine: run npm run build.',
      details: { path },
      cause,
    });
  }
}
