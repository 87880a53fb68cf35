/** What one transaction writes to the journals: one frame for each disk concerned. */

import type { PoolContext } from './context.js';
import type { JournalRecord } from './journal-frames.js';

/** Journal records of a transaction, by disk. */
export type JournalBatch = Map<number, JournalRecord[]>;

export function addRecord(batch: JournalBatch, diskId: number, record: JournalRecord): void {
  const records = batch.get(diskId);
  if (records) records.push(record);
  else batch.set(diskId, [record]);
}

/**
 * Writes what is new on every disk before what is gone on any: should the catalogue be lost between
 * two disks, `recover` finds too much rather than too little.
 */
export function writeJournals(context: PoolContext, batch: JournalBatch): void {
  for (const round of rounds(batch)) {
    // Asked again for each round, since a round moves the tails.
    for (const disk of context.store.disks.all()) {
      const records = round.get(disk.diskId);
      if (records) context.journalTo(disk, records);
    }
  }
}

/** One disk takes it all in one frame, whole or not at all. */
function rounds(batch: JournalBatch): JournalBatch[] {
  if (batch.size < 2) return [batch];
  return [only(batch, (record) => !isRemoval(record)), only(batch, isRemoval)];
}

function only(batch: JournalBatch, wanted: (record: JournalRecord) => boolean): JournalBatch {
  const part: JournalBatch = new Map();
  for (const [diskId, records] of batch) {
    const found = records.filter(wanted);
    if (found.length > 0) part.set(diskId, found);
  }
  return part;
}

function isRemoval([tag]: JournalRecord): boolean {
  return tag === 'deleted' || tag === 'moved-away';
}
