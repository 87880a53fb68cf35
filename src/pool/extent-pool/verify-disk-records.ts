/**
 * Checks what a disk says of itself: all slots of its superblock, and its journal from end to end.
 *
 * Nothing reads a journal while its pool is well, so rot in it would be noticed on the day when it is
 * needed. The catalogue knows all that should be there: repair is to write it anew.
 */

import { asMaintenanceError } from '../../domain/errors.js';
import type { Finding } from '../../domain/repairs.js';
import type { DiskRow } from '../../store/disks.js';
import type { PoolContext } from './context.js';
import { readJournal } from './disk-journal.js';
import { refreshSuperblock, rewriteJournal } from './snapshot.js';
import { hasDamagedSlot, readSuperblock } from './superblock.js';

export type RecordsResult = 'good' | 'bad' | 'repaired' | 'away';

/** What the record calls them, where an object has its name. */
type RecordName = '(superblock)' | '(journal)';

export function verifyDiskRecords(
  context: PoolContext,
  diskId: number,
  { runId, repair }: { readonly runId: number; readonly repair: boolean },
): RecordsResult {
  const { store } = context;
  if (findProblem(context, diskId) === null) return isOnline(context, diskId) ? 'good' : 'away';
  const note = (finding: Pick<Finding, 'what' | 'objectName' | 'diskPath' | 'reason'>) =>
    store.repairs.addFinding({
      ...{ runId, extentIndex: 0, extentId: 0, atMs: context.clock() },
      ...finding,
    });
  // Again while nobody can append: what was looked at may have been half of a change.
  const bad = store.transaction(() => {
    const problem = findProblem(context, diskId);
    const disk = store.disks.get(diskId);
    if (problem === null || !disk) return null;
    const of = { objectName: problem.name, diskPath: disk.path };
    note({ ...of, what: 'bad', reason: problem.reason });
    return { disk, of };
  });
  if (!bad) return 'good';
  if (!repair) return 'bad';
  try {
    rewriteJournal(context, bad.disk);
    store.transaction(() => {
      // That wrote one slot, and its copy; the other one of either may be damaged, too.
      if (findProblem(context, diskId) !== null) refreshSuperblock(context, bad.disk);
      note({ ...bad.of, what: 'repaired', reason: 'written anew from the catalogue' });
    });
    return 'repaired';
  } catch (cause) {
    store.transaction(() => {
      store.disks.markJournalStale(diskId);
      note({ ...bad.of, what: 'unrepairable', reason: asMaintenanceError(cause).message });
    });
    return 'bad';
  }
}

function isOnline(context: PoolContext, diskId: number): boolean {
  const disk = context.store.disks.get(diskId);
  return disk !== null && context.diskState(disk).condition === 'online';
}

function findProblem(
  context: PoolContext,
  diskId: number,
): { name: RecordName; reason: string } | null {
  const disk = context.store.disks.get(diskId);
  const file = disk && isOnline(context, diskId) ? context.diskState(disk).file : null;
  if (!disk || !file) return null;
  try {
    const superblock = readSuperblock(file);
    if (
      !superblock ||
      hasDamagedSlot(file, disk.kind === 'device' ? disk.capacityBytes : undefined)
    ) {
      return { name: '(superblock)', reason: 'a slot is damaged' };
    }
    // It is known to miss frames, and is written anew when the pool is next opened.
    if (disk.journalStale) return null;
    if (superblock.journalEpoch !== disk.journalEpoch) {
      return { name: '(superblock)', reason: 'names an older journal' };
    }
    const end = endOf(readJournal(file, superblock.journal, superblock.journalEpoch));
    return end === tailOf(context, disk)
      ? null
      : { name: '(journal)', reason: `cannot be read beyond byte ${end} of the disk` };
  } catch (cause) {
    return { name: '(journal)', reason: asMaintenanceError(cause).message };
  }
}

function endOf<R>(steps: Generator<unknown, R>): R {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

function tailOf({ store }: PoolContext, disk: DiskRow): number {
  const segment = store.disks.journalSegments(disk.diskId).at(-1);
  return (segment?.startBytes ?? 0) + disk.journalTailBytes;
}
