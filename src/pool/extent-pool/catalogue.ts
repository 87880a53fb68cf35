/** Opens the catalogue of a pool, and says what is wrong where there is none. */

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import { processActor } from '../../kernel/actor.js';
import { PoolStore } from '../../store/pool-store.js';

export const CATALOGUE_FILE = 'pool.sqlite';

export type OpenMode = 'read' | 'write';

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND, ERR_NOT_A_POOL, ERR_NEWER_VERSION, ERR_STORE. */
export function openCatalogue(poolPath: string, mode: OpenMode, clock: () => number): PoolStore {
  if (!existsSync(poolPath)) {
    throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `no such pool: ${poolPath} does not exist`, {
      nextStep: `Check the path, or make a pool with \`dynamicfs init --pool ${poolPath}\`.`,
    });
  }
  const catalogue = join(poolPath, CATALOGUE_FILE);
  if (!statSync(poolPath).isDirectory() || !existsSync(catalogue)) {
    throw new MaintenanceError(
      'ERR_NOT_A_POOL',
      `${poolPath} is not a pool: it has no ${CATALOGUE_FILE}`,
      {
        nextStep:
          'Make one with `dynamicfs init`, or, if the catalogue was lost, rebuild it with `dynamicfs recover`.',
      },
    );
  }
  const store = openStore(catalogue, mode, clock);
  if (store.settings.read().poolId === undefined) {
    store.close();
    throw new MaintenanceError('ERR_NOT_A_POOL', `${catalogue} is a database, but not of a pool`, {
      nextStep: 'Check the path.',
    });
  }
  return store;
}

function openStore(catalogue: string, mode: OpenMode, clock: () => number): PoolStore {
  try {
    return new PoolStore(catalogue, { readonly: mode === 'read', actor: processActor(), clock });
  } catch (cause) {
    const sqliteCode = cause instanceof MaintenanceError ? cause.details.sqliteCode : null;
    if (sqliteCode !== 'SQLITE_NOTADB') throw cause;
    throw new MaintenanceError('ERR_NOT_A_POOL', `${catalogue} is not a pool's catalogue`, {
      cause,
      nextStep: 'If it was damaged, move it away and rebuild it with `dynamicfs recover`.',
    });
  }
}
