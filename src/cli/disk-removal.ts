/** `disk remove`: begins or cancels the evacuation of a disk, and follows it. */

import { MaintenanceError } from '../domain/errors.js';
import { findNamedDisk, withPool } from './pool-access.js';
import { linkQueue } from './queue-link.js';
import { beginRemoveDisk, cancelRemoveDisk } from './run-control.js';
import type { Output } from './schemas.js';
import { runView } from './views.js';
import { waitForRun } from './wait-for-run.js';

export interface RemoveDiskOptions {
  readonly wait: boolean;
  readonly cancel: boolean;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
}

/** @throws MaintenanceError as `beginEvacuation`; ERR_SOME_TARGETS_FAILED when extents stayed behind. */
export function removeDisk(
  poolPath: string,
  diskName: string,
  options: RemoveDiskOptions,
): Promise<Output<'disk remove'>> {
  return withPool(poolPath, 'write', async (pool) => {
    const disk = findNamedDisk(pool, diskName);
    const result = { schemaVersion: 1, diskId: disk.uuid, path: disk.path } as const;
    if (options.cancel) {
      const run = cancelRemoveDisk(pool, disk);
      return { ...result, removed: false, run: run && runView(pool, run) };
    }
    const link = await linkQueue(pool, options.note);
    try {
      const begun = beginRemoveDisk(pool, disk);
      await link.enqueue(begun.runId);
      if (!options.wait) return { ...result, removed: false, run: runView(pool, begun) };
      const run = await waitForRun(pool, begun.runId, options.quiet);
      if (run.error) throw MaintenanceError.fromWire(run.error);
      const removed = pool.context.store.disks.get(disk.diskId) === null;
      return { ...result, removed, run: runView(pool, run) };
    } finally {
      await link.close();
    }
  });
}
