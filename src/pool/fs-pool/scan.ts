/** Runs the scan of a mount in a thread, with what it needs to know of the mount. */

import { asMaintenanceError, type MaintenanceError } from '../../domain/errors.js';
import {
  type FreeSpaceReport,
  makeScanControl,
  type ScanReport,
  type ScanTask,
} from '../../domain/file-scan.js';
import { TARGET_FRAGMENT_BYTES } from '../../domain/fragmentation.js';
import { type AnalyzedDisk, type FsAnalysis, makeFsAnalysis } from '../../domain/fs-analysis.js';
import { discardLimits } from '../../kernel/discard-limits.js';
import { isRefusal, KernelCallError } from '../../kernel/kernel-error.js';
import type { WorkerPool } from '../worker-pool.js';
import type { FsMount } from './detect.js';

export type ScanRequest = Pick<
  ScanTask,
  'subtree' | 'threadCount' | 'candidateLimit' | 'nameCount' | 'mapCellCount' | 'nowMs' | 'control'
>;

/** @throws MaintenanceError ERR_UNSUPPORTED where files tell nobody where they lie. */
export function scanMount(
  workers: WorkerPool,
  mount: FsMount,
  request: ScanRequest,
): Promise<ScanReport> {
  return workers.run('scan-file-system', {
    ...request,
    mountPath: mount.path,
    method: 'auto',
    // A bind mount or subvolume shows a part of what the tables hold.
    ...(mount.isWhole ? {} : { method: 'walk' as const }),
    fsType: mount.entry.typeName,
    devicePaths: mount.devices.map(({ path }) => path),
    targetFragmentBytes: TARGET_FRAGMENT_BYTES,
  });
}

export interface AnalyzeRequest {
  readonly subtree: string | null;
  readonly threadCount: number;
  readonly mapCellCount: number;
  /** Of how many files to tell the names. */
  readonly worstCount: number;
  readonly nowMs: number;
  readonly control?: Int32Array<SharedArrayBuffer>;
}

export interface AnalyzedMount {
  readonly analysis: FsAnalysis;
  readonly scan: ScanReport;
  readonly freeSpace: FreeSpaceReport | null;
}

/**
 * What kept a scan from seeing everything, other than the rights of this user: its figures are those of
 * a part. Null when it saw all that it may.
 */
export function unreadError(scan: ScanReport, path: string): MaintenanceError | null {
  const { failedCount, missedPartCount, firstErrno, fileCount } = scan;
  if (firstErrno === null || isRefusal(firstErrno)) return null;
  const missed =
    missedPartCount > 0 ? `, ${missedPartCount} of these with whatever files they hold` : '';
  const call = `read all of the file system (${fileCount} files read, ${failedCount} reads failed${missed}) on`;
  return new KernelCallError(call, firstErrno, path);
}

/** Reads only. @throws MaintenanceError as `scanMount`. */
export async function analyzeMount(
  workers: WorkerPool,
  mount: FsMount,
  request: AnalyzeRequest,
): Promise<AnalyzedMount> {
  const { subtree, threadCount, mapCellCount, worstCount, nowMs } = request;
  // Both at a time, and both waited for: a rejection that nobody hears would end the agent.
  const [scanned, measured] = await Promise.allSettled([
    scanMount(workers, mount, {
      ...{ subtree, threadCount, mapCellCount, nowMs },
      candidateLimit: worstCount,
      nameCount: worstCount,
      control: request.control ?? makeScanControl(),
    }),
    measureFreeSpace(workers, mount, mapCellCount),
  ]);
  if (scanned.status === 'rejected') throw scanned.reason;
  const scan = scanned.value;
  const freeSpace = measured.status === 'fulfilled' ? measured.value : null;
  const unread =
    unreadError(scan, mount.path) ??
    (measured.status === 'rejected' ? asMaintenanceError(measured.reason) : null);
  const options = { nowMs, worstCount, incomplete: unread?.toWire() ?? null };
  return { analysis: makeFsAnalysis(scan, freeSpace, diskOf(mount), options), scan, freeSpace };
}

/** The figures of files are worth having without it: it needs more rights, and not all can tell. */
async function measureFreeSpace(
  workers: WorkerPool,
  mount: FsMount,
  mapCellCount: number,
): Promise<FreeSpaceReport | null> {
  try {
    return await workers.run('scan-free-space', {
      mountPath: mount.path,
      fsType: mount.entry.typeName,
      devicePaths: mount.devices.map(({ path }) => path),
      mapCellCount,
    });
  } catch (cause) {
    const { code } = asMaintenanceError(cause);
    if (code === 'ERR_UNSUPPORTED' || code === 'ERR_PERMISSION') return null;
    throw cause;
  }
}

function diskOf(mount: FsMount): AnalyzedDisk {
  return {
    diskId: mount.uuid ?? `${mount.entry.deviceMajor}:${mount.entry.deviceMinor}`,
    path: mount.path,
    devices: mount.devices.map(({ path }) => path),
    capacityBytes: capacityOf(mount),
  };
}

/** Of all devices together; null when one does not tell. */
function capacityOf(mount: FsMount): number | null {
  let capacityBytes = 0;
  for (const { name } of mount.devices) {
    const { sizeBytes } = discardLimits(name);
    if (sizeBytes === null) return null;
    capacityBytes += sizeBytes;
  }
  return mount.devices.length === 0 ? null : capacityBytes;
}
