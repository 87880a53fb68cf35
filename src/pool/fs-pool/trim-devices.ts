/** The devices under a mount as a trim needs them: their limits, ids, and the files behind them. */

import { existsSync } from 'node:fs';
import type { DetectedMount } from '../../domain/mounts.js';
import type { TrimDevice } from '../../domain/trim-tasks.js';
import { btrfsDeviceId } from '../../kernel/btrfs-device-id.js';
import { discardLimits, loopBacking } from '../../kernel/discard-limits.js';

/** The devices of a mount, with the files behind loop devices. */
export function trimDevices({ devices, fsType }: DetectedMount): TrimDevice[] {
  return devices.map(({ name, path }) => {
    const backing = loopBacking(name);
    // The kernel names a file that lies in another mount namespace all the same.
    const isThere = backing !== null && existsSync(backing.path);
    const btrfsId = fsType === 'btrfs' ? btrfsDeviceId(path) : null;
    return { name, btrfsId, backing: isThere ? backing : null };
  });
}

/** The largest of the devices': what is shorter, none of them can free. */
export function granularityBytes({ devices }: DetectedMount): number {
  return Math.max(0, ...devices.map(({ name }) => discardLimits(name).granularityBytes));
}

/** Of all of them together. */
export function sizeBytes({ devices }: DetectedMount): number {
  return devices.reduce((sum, { name }) => sum + (discardLimits(name).sizeBytes ?? 0), 0);
}
