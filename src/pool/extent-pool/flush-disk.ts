/** Flushes a disk without blocking the thread that asks. */

import { syncDataAsync } from '../../kernel/file-io.js';
import type { DiskRow } from '../../store/disks.js';
import { askingDisks } from './ask-disks.js';
import type { PoolContext } from './context.js';

/**
 * Again, when the disk was opened anew meanwhile: the number of its old descriptor may have been
 * another file's by then.
 *
 * @throws MaintenanceError ERR_DISK_UNAVAILABLE also when it does not answer, ERR_DISK_MISMATCH, or the
 *   error of the flush.
 */
export async function flushDisk(context: PoolContext, disk: DiskRow): Promise<void> {
  for (;;) {
    const file = context.writableFile(disk);
    const flushed = context.workers.waitFor(file.path, syncDataAsync(file));
    await askingDisks(context, [file.path], flushed);
    if (context.writableFile(disk) === file) return;
  }
}
