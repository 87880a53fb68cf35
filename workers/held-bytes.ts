/** What the file behind a loop device still holds for space that the file system does not use. */

import { closeSync, openSync, statSync } from 'node:fs';
import type { TrimDevice, TrimWindowTask } from '../src/domain/trim-tasks.js';
import { roundDown, roundUp } from '../src/domain/units.js';
import { btrfsChunks } from '../src/kernel/btrfs-chunks.js';
import { mappedBytes } from '../src/kernel/fiemap.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';

/** Each run is a call of the kernel; beyond this the size of the file must do. */
const RUNS_MAX = 2_048;

/**
 * @param runs the free runs of the window; null for Btrfs, whose chunk tells how much is in use.
 * @returns for each device; null where there is no such file, or it does not tell, or there is too
 *   much to look at.
 */
export function heldBytes(
  file: OpenFile,
  task: TrimWindowTask,
  runs: Float64Array | null,
): (number | null)[] {
  if (runs && runs.length > 2 * RUNS_MAX) return task.devices.map(() => null);
  return task.devices.map((device) => {
    if (!device.backing) return null;
    try {
      const fd = openSync(device.backing.path, 'r');
      try {
        const backing = { fd, path: device.backing.path };
        if (task.fsType === 'btrfs') return heldByChunk(file, task, backing, device);
        return runs ? heldByRuns(runs, task, backing, device.backing) : null;
      } finally {
        closeSync(fd);
      }
    } catch {
      // Also on file systems without FIEMAP, such as tmpfs: then the size of the file must do.
      return null;
    }
  });
}

type Backing = NonNullable<TrimDevice['backing']>;

function heldByRuns(
  runs: Float64Array,
  task: TrimWindowTask,
  backing: OpenFile,
  { path, offsetBytes }: Backing,
): number {
  // Parts of a block cannot be given back.
  const blockBytes = Math.max(statSync(path).blksize, task.minLengthBytes);
  let sumBytes = 0;
  for (let index = 0; index < runs.length; index += 2) {
    const startBytes = roundUp(offsetBytes + (runs[index] ?? 0), blockBytes);
    const runEnd = offsetBytes + (runs[index] ?? 0) + (runs[index + 1] ?? 0);
    const lengthBytes = roundDown(runEnd, blockBytes) - startBytes;
    if (lengthBytes > 0) sumBytes += mappedBytes(backing, { startBytes, lengthBytes });
  }
  return sumBytes;
}

/** Allocated in the file for the chunk, less what Btrfs has in use: of a window that is a whole chunk. */
function heldByChunk(
  file: OpenFile,
  { window, devices }: TrimWindowTask,
  backing: OpenFile,
  device: TrimDevice,
): number | null {
  const [chunk] = btrfsChunks(file, window.startBytes);
  if (!chunk?.isCopied || chunk.lengthBytes !== window.lengthBytes) return null;
  if (chunk.usedBytes === null || (devices.length > 1 && device.btrfsId === null)) return null;
  const own = chunk.stripes.filter(
    ({ deviceId }) => devices.length === 1 || deviceId === device.btrfsId,
  );
  let sumBytes = 0;
  for (const stripe of own) {
    const startBytes = (device.backing?.offsetBytes ?? 0) + stripe.startBytes;
    const heldInStripe = mappedBytes(backing, { startBytes, lengthBytes: chunk.lengthBytes });
    sumBytes += Math.max(0, heldInStripe - chunk.usedBytes);
  }
  return sumBytes;
}
