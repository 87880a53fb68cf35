/** `defrag analyze` of a mounted file system, registered or not. */

import { availableParallelism } from 'node:os';
import { mapCell } from '../domain/disk-map.js';
import { asMaintenanceError, MaintenanceError, type WireError } from '../domain/errors.js';
import { makeScanControl, SCAN_CONTROL, scanProgress } from '../domain/file-scan.js';
import type { RememberedWindow } from '../domain/trim-windows.js';
import type { FsMount } from '../pool/fs-pool/detect.js';
import type { LocatedFileSystem } from '../pool/fs-pool/register.js';
import { type AnalyzedMount, analyzeMount } from '../pool/fs-pool/scan.js';
import { subtreeOf } from '../pool/fs-pool/subtree.js';
import { forecastMount } from '../pool/fs-pool/trim-mount.js';
import { WorkerPool } from '../pool/worker-pool.js';
import { mountedOf } from './fs-access.js';
import { abortOnInterrupt } from './interrupt.js';
import { MAP_COLUMNS, MAP_ROWS } from './map-text.js';
import { openFileSystem } from './pool-access.js';
import { textOfHex } from './printable.js';
import { startProgress } from './progress.js';
import type { Output } from './schemas.js';

type FsAnalyzeView = Extract<Output<'defrag analyze'>, { kind: 'file-system' }>;

export interface AnalyzeOptions {
  readonly withMaps: boolean;
  /** Of a mounted file system: only what lies there. */
  readonly path: string | null;
  readonly quiet: boolean;
}

const WORST_COUNT = 20;
const SHOW_EVERY_MS = 200;

/** @throws MaintenanceError ERR_DISK_UNAVAILABLE, ERR_UNSUPPORTED, ERR_INTERRUPTED, as `subtreeOf`. */
export async function analyzeFileSystem(
  located: LocatedFileSystem,
  { path, withMaps, quiet }: AnalyzeOptions,
): Promise<FsAnalyzeView> {
  const mount = mountedOf(located);
  const subtree = path === null ? null : subtreeOf(mount, path);
  const analyzed = await runScan(mount, subtree, withMaps, quiet);
  const { analysis, scan } = analyzed;
  if (scan.stopped) throw new MaintenanceError('ERR_INTERRUPTED', 'interrupted');
  const { reclaimableBytes, reclaimableByPath, unread } = await reclaimable(located, mount);
  const incomplete = analysis.incomplete ?? unread;
  return {
    schemaVersion: 1,
    kind: 'file-system',
    poolId: located.registered?.poolId ?? null,
    path: mount.path,
    fsType: mount.entry.typeName,
    subtree,
    ...analysis,
    recommendation: incomplete ? null : analysis.recommendation,
    incomplete: incomplete && { ...incomplete, details: { ...incomplete.details } },
    reclaimableBytes,
    disks: analysis.disks.map((disk) => ({
      ...disk,
      reclaimableBytes: reclaimableByPath.get(disk.devices[0] ?? '') ?? null,
      devices: [...disk.devices],
      freeSpace: disk.freeSpace && { ...disk.freeSpace, runs: [...disk.freeSpace.runs] },
    })),
    tiers: [...analysis.tiers],
    fragmentCounts: [...analysis.fragmentCounts],
    fragmentSizes: [...analysis.fragmentSizes],
    worstFiles: analysis.worstFiles.map((file) => ({
      path: file.pathHex === null ? null : textOfHex(file.pathHex),
      ...file,
      flags: [...file.flags],
    })),
    freeSpace: analysis.freeSpace && {
      ...analysis.freeSpace,
      runs: [...analysis.freeSpace.runs],
    },
    maps: withMaps ? mapsOf(mount, analyzed) : null,
  };
}

interface Reclaimable {
  /** Null where nobody tells what is free, as to users who are not root. */
  readonly reclaimableBytes: number | null;
  readonly reclaimableByPath: ReadonlyMap<string, number | null>;
  /** Why it could not be read. */
  readonly unread: WireError | null;
}

async function reclaimable(located: LocatedFileSystem, mount: FsMount): Promise<Reclaimable> {
  const notKnown = { reclaimableBytes: null, reclaimableByPath: new Map(), unread: null };
  if (mount.fsType === 'other') return notKnown;
  const workers = new WorkerPool(1);
  try {
    const remembered = located.registered ? rememberedWindows(located) : [];
    const forecast = await forecastMount({ workers, mount, remembered, minLengthBytes: 0 });
    const reclaimableByPath = forecast.requestBytesByPath;
    const reclaimableBytes = forecast.isKnown ? forecast.requestBytes : null;
    return { reclaimableBytes, reclaimableByPath, unread: null };
  } catch (cause) {
    const error = asMaintenanceError(cause);
    const { code } = error;
    if (code === 'ERR_UNSUPPORTED' || code === 'ERR_PERMISSION') return notKnown;
    // What the files look like is worth having without it.
    if (code === 'ERR_KERNEL') return { ...notKnown, unread: error.toWire() };
    throw cause;
  } finally {
    await workers.close();
  }
}

function rememberedWindows(located: LocatedFileSystem): RememberedWindow[] {
  const pool = openFileSystem(located, 'read');
  try {
    return pool.context.store.trimWindows.all();
  } finally {
    pool.context.store.close();
  }
}

async function runScan(
  mount: FsMount,
  subtree: string | null,
  withMaps: boolean,
  quiet: boolean,
): Promise<AnalyzedMount> {
  const workers = new WorkerPool();
  const control = makeScanControl();
  const interrupt = abortOnInterrupt();
  interrupt.signal.addEventListener('abort', () => {
    Atomics.store(control, SCAN_CONTROL.stop, 1);
  });
  const progress = await startProgress({ label: 'analyze', unit: 'files', total: 0, quiet });
  const timer = setInterval(() => progress.update(scanProgress(control)), SHOW_EVERY_MS);
  try {
    return await analyzeMount(workers, mount, {
      subtree,
      threadCount: availableParallelism(),
      mapCellCount: withMaps ? MAP_COLUMNS * MAP_ROWS : 0,
      worstCount: WORST_COUNT,
      nowMs: Date.now(),
      control,
    });
  } finally {
    clearInterval(timer);
    progress.stop();
    interrupt.dispose();
    await workers.close();
  }
}

/** What is neither of a file nor free is the file system's own, or was not looked at. */
function mapsOf(mount: FsMount, { scan, freeSpace, analysis }: AnalyzedMount) {
  const { map } = scan;
  if (!map) return [];
  const free = freeSpace?.map?.space === map.space ? freeSpace.map.freeBytes : [];
  const cells = map.usedBytes.map((usedBytes, index) => {
    const cellBytes = Math.min(map.cellBytes, map.spaceBytes - index * map.cellBytes);
    const fragment = map.fragmentedBytes[index] ?? 0;
    const contiguous = Math.max(0, usedBytes - fragment);
    const freeBytes = Math.min(free[index] ?? 0, Math.max(0, cellBytes - fragment - contiguous));
    const journal = Math.max(0, cellBytes - fragment - contiguous - freeBytes);
    const bytes = { contiguous, fragment, free: freeBytes, pending: 0, reserved: 0, journal };
    return mapCell(bytes, map.cellBytes);
  });
  const diskId = analysis.disks[0]?.diskId ?? '';
  return [{ diskId, path: mount.path, cellBytes: map.cellBytes, cells: [...cells] }];
}
