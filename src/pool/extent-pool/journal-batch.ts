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

export function writeJournals(context: PoolContext, batch: JournalBatch): void {
  for (const disk of context.store.disks.all()) {
    const records = batch.get(disk.diskId);
    if (records) context.journalTo(disk, records);
  }
}
