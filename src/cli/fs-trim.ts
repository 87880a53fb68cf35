/** `trim now` on a mounted file system. */

import { MaintenanceError } from '../domain/errors.js';
import type { Run } from '../domain/runs.js';
import { assertWritable, type FsMount } from '../pool/fs-pool/detect.js';
import type { FsPool } from '../pool/fs-pool/fs-pool.js';
import type { LocatedFileSystem } from '../pool/fs-pool/register.js';
import { forecastMount } from '../pool/fs-pool/trim-mount.js';
import { WorkerPool } from '../pool/worker-pool.js';
import { mountedOf } from './fs-access.js';
import { beginFsTrim } from './fs-run-control.js';
import { openFileSystem } from './pool-access.js';
import type { Output } from './schemas.js';
import type { TrimNowOptions } from './trim-now.js';

type Forecast = Extract<Output<'trim now'>, { dryRun: true }>;

export async function forecastFs(
  located: LocatedFileSystem,
  diskName: string | null,
): Promise<Forecast> {
  const mount = mountedOf(located);
  assertOnlyDisk(mount, diskName);
  const pool = openFileSystem(located, 'read');
  const workers = new WorkerPool();
  try {
    const remembered = pool.context.store.trimWindows.all();
    const forecast = await forecastMount({ workers, mount, remembered, minLengthBytes: 0 });
    const disk = {
      diskId: pool.context.fileSystemUuid,
      path: mount.path,
      rangeCount: forecast.rangeCount,
      requestedBytes: forecast.requestBytes,
      reclaimableBytes: null,
      skippedBytes: forecast.skippedBytes,
    };
    return { schemaVersion: 1, dryRun: true, disks: [disk] };
  } finally {
    await workers.close();
    await pool.close();
  }
}

/** @throws MaintenanceError ERR_PERMISSION, ERR_UNSUPPORTED before anything was changed. */
export function beginFsTrimNow(
  located: LocatedFileSystem,
  pool: FsPool,
  { disk, secureErase, intensity }: TrimNowOptions,
): { run: Run; joined: boolean } {
  const mount = mountedOf(located);
  assertOnlyDisk(mount, disk);
  if (secureErase) throw noSecureErase();
  assertWritable(mount);
  return beginFsTrim(pool, intensity);
}

/** FITRIM knows no devices: with several, all are trimmed or none. */
function assertOnlyDisk({ path, devices }: FsMount, diskName: string | null): void {
  if (diskName === null) return;
  if (devices.length === 1 && devices[0]?.path === diskName) return;
  const names = devices.map((device) => device.path).join(', ');
  throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `${diskName} is not the disk of ${path}`, {
    nextStep:
      devices.length > 1
        ? `The file system trims its disks together (${names}): leave out --disk.`
        : `Its disk is ${names}.`,
  });
}

function noSecureErase(): MaintenanceError {
  return new MaintenanceError(
    'ERR_UNSUPPORTED',
    'the free space of a mount cannot be overwritten by anybody but its file system',
    { nextStep: 'Leave out --secure-erase.' },
  );
}
