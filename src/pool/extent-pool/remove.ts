/** Deletes objects: their runs become pending discards in the transaction that forgets them. */

import { MaintenanceError } from '../../domain/errors.js';
import type { ObjectRow } from '../../store/objects.js';
import type { PoolContext } from './context.js';
import { countingErrors } from './disk-errors.js';
import { addRecord, type JournalBatch, writeJournals } from './journal-batch.js';

/** Bounds a transaction, so that other writers wait for milliseconds. */
const OBJECTS_PER_TRANSACTION = 256;

export interface RemoveReport {
  readonly objectCount: number;
  readonly freedBytes: number;
}

/**
 * Deletes the objects of these names, or below them as well when `recursive`. All names are looked
 * up first: where one is refused, nothing is deleted.
 *
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND when there is none of a name, ERR_USAGE when a name
 *   has others below it and `recursive` is not asked for.
 */
export function removeObjects(
  context: PoolContext,
  names: readonly string[],
  recursive: boolean,
): RemoveReport {
  const found = new Map<number, ObjectRow>();
  for (const name of names) {
    for (const object of namedObjects(context, name, recursive)) found.set(object.objectId, object);
  }
  // Children before their directory: a crash never leaves a file without its folder.
  const objects = [...found.values()].sort((a, b) => (a.name < b.name ? 1 : -1));
  let freedBytes = 0;
  for (let from = 0; from < objects.length; from += OBJECTS_PER_TRANSACTION) {
    const batch = objects.slice(from, from + OBJECTS_PER_TRANSACTION);
    freedBytes += countingErrors(context, () => deleteAll(context, batch));
  }
  return { objectCount: objects.length, freedBytes };
}

function deleteAll(context: PoolContext, objects: readonly ObjectRow[]): number {
  return context.store.transaction(() => {
    const journal: JournalBatch = new Map();
    let freedBytes = 0;
    for (const object of objects) freedBytes += deleteObject(context, object, journal);
    writeJournals(context, journal);
    return freedBytes;
  });
}

function namedObjects(context: PoolContext, name: string, recursive: boolean): ObjectRow[] {
  const objects = [...context.store.objects.under(name)];
  if (objects.length === 0) throw objectNotFound(context, name);
  if (recursive || objects.every((object) => object.name === name)) return objects;
  throw new MaintenanceError('ERR_USAGE', `${name} has ${objects.length} objects at and below it`, {
    nextStep: 'Add --recursive to delete them all.',
  });
}

/** Safe while: in a transaction that also writes `journal`. @returns bytes let go on all disks. */
export function deleteObject(
  context: PoolContext,
  object: ObjectRow,
  journal: JournalBatch,
): number {
  const { store } = context;
  const diskIds = new Set<number>();
  let freedBytes = 0;
  for (const extent of store.extents.ofObject(object.objectId)) {
    for (const { diskId, runs } of store.extents.replicas(extent.extentId)) {
      context.release(diskId, runs);
      diskIds.add(diskId);
      for (const run of runs) freedBytes += run.lengthBytes;
    }
    store.extents.delete(extent.extentId);
  }
  store.objects.delete(object.objectId);
  const everywhere = object.extentCount === 0;
  for (const { diskId } of store.disks.all()) {
    if (everywhere || diskIds.has(diskId)) addRecord(journal, diskId, ['deleted', object.objectId]);
  }
  return freedBytes;
}

export function objectNotFound(context: PoolContext, name: string): MaintenanceError {
  return new MaintenanceError('ERR_TARGET_NOT_FOUND', `no object "${name}" in ${context.path}`, {
    nextStep: 'List what there is with `dynamicfs ls`.',
  });
}
