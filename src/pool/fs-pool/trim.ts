/** Trims a mounted file system window by window; see src/domain/trim-windows.ts. */

import type { TrimWindowList, TrimWindowOutcome } from '../../domain/trim-tasks.js';
import {
  forecastWindows,
  type PlannedWindow,
  planWindows,
  type RememberedWindow,
  TRIM_WINDOW_BYTES_DEFAULT,
  type TrimWindow,
  type TrimWindowForecast,
} from '../../domain/trim-windows.js';
import { discardLimits, loopBacking } from '../../kernel/discard-limits.js';
import type { WorkerPool } from '../worker-pool.js';
import type { FsMount } from './detect.js';

export interface TrimPlan {
  readonly list: TrimWindowList;
  readonly windows: readonly PlannedWindow[];
  readonly minLengthBytes: number;
}

/** @param flush what was freed and not committed yet is trimmed too; not needed for a forecast. */
export async function planTrim(
  workers: WorkerPool,
  mount: FsMount,
  remembered: readonly RememberedWindow[],
  flush: boolean,
): Promise<TrimPlan> {
  const minLengthBytes = minimumOf(mount);
  const list = await workers.run('read-trim-windows', {
    mountPath: mount.path,
    fsType: mount.fsType,
    sysfsName: mount.sysfsName,
    windowBytes: TRIM_WINDOW_BYTES_DEFAULT,
    minLengthBytes,
    flush,
  });
  const { windows, evidence, freedAfter } = list;
  return {
    list,
    windows: planWindows(windows, remembered, evidence, freedAfter, minLengthBytes),
    minLengthBytes,
  };
}

/** Changes nothing. */
export async function forecastFsTrim(
  workers: WorkerPool,
  mount: FsMount,
  remembered: readonly RememberedWindow[],
): Promise<TrimWindowForecast> {
  return forecastWindows((await planTrim(workers, mount, remembered, false)).windows);
}

export function trimWindow(
  workers: WorkerPool,
  mount: FsMount,
  request: {
    readonly window: TrimWindow;
    readonly minLengthBytes: number;
    readonly stopFlag: Int32Array<SharedArrayBuffer>;
    readonly paceBytes: number | null;
  },
): Promise<TrimWindowOutcome> {
  const { startBytes, lengthBytes } = request.window;
  return workers.run('trim-window', {
    ...request,
    window: { startBytes, lengthBytes },
    mountPath: mount.path,
    fsType: mount.fsType,
    devices: mount.devices.map(({ name }) => ({ name, backing: loopBacking(name) })),
  });
}

/** What the coarsest of the devices frees at once: less would be asked for in vain. */
function minimumOf({ devices }: FsMount): number {
  return Math.max(0, ...devices.map(({ name }) => discardLimits(name).granularityBytes));
}
