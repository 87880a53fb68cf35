/** `trim now` on a mounted file system. */

import { MaintenanceError } from '../domain/errors.js';
import type { BlockDevice } from '../domain/mounts.js';
import type { Run } from '../domain/runs.js';
import { discardLimits } from '../kernel/discard-limits.js';
import { assertUnclaimed } from '../kernel/file-system-claim.js';
import { stateDirectory } from '../kernel/state-directory.js';
import { assertWritable, type FsMount, kernelPath } from '../pool/fs-pool/detect.js';
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
  const device = diskOf(mount, diskName);
  const pool = openFileSystem(located, 'read');
  const workers = new WorkerPool();
  try {
    const remembered = pool.context.store.trimWindows.all();
    const forecast = await forecastMount({
      workers,
      mount,
      remembered,
      minLengthBytes: pool.context.store.policies.effective().trim.discardGranularityBytes,
      deviceName: device?.name ?? null,
    });
    const disk = {
      diskId: pool.context.fileSystemUuid,
      path: device?.path ?? mount.path,
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
  { disk, secureErase, intensity, sloMs }: TrimNowOptions,
): { run: Run; joined: boolean } {
  const mount = mountedOf(located);
  const device = diskOf(mount, disk);
  if (secureErase) throw noSecureErase();
  assertWritable(mount);
  assertSomeTakeDiscards(mount);
  assertUnclaimed(pool.context.fileSystemUuid, stateDirectory());
  const devicePath = mount.devices.length > 1 ? (device?.path ?? null) : null;
  return beginFsTrim(pool, intensity, devicePath, sloMs);
}

/**
 * FITRIM knows no devices: of several, those parts are asked for that lie on the one.
 *
 * @returns null for all of them.
 */
function diskOf({ path, devices }: FsMount, diskName: string | null): BlockDevice | null {
  if (diskName === null) return null;
  const real = kernelPath(diskName);
  const device = devices.find((one) => one.path === diskName || one.path === real);
  if (device) return device;
  const names = devices.map((one) => one.path).join(', ');
  throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `${diskName} is no disk of ${path}`, {
    nextStep: devices.length > 1 ? `Its disks are ${names}.` : `Its disk is ${names}.`,
  });
}

/** Before anything is queued: the kernel would refuse it, and only later. */
function assertSomeTakeDiscards(mount: FsMount): void {
  const { devices, path } = mount;
  const refuse = devices.filter(({ name }) => {
    const { maxBytes, sizeBytes } = discardLimits(name);
    return maxBytes === 0 && sizeBytes !== null;
  });
  if (devices.length === 0 || refuse.length < devices.length) return;
  const names = devices.map((one) => one.path).join(', ');
  throw new MaintenanceError(
    'ERR_UNSUPPORTED',
    `${path} cannot be trimmed: ${names} takes no discards`,
    { nextStep: `See \`dynamicfs doctor --pool ${path}\`: it names the layer that drops them.` },
  );
}

function noSecureErase(): MaintenanceError {
  return new MaintenanceError(
    'ERR_UNSUPPORTED',
    'the free space of a mount cannot be overwritten by anybody but its file system',
    { nextStep: 'Leave out --secure-erase.' },
  );
}
