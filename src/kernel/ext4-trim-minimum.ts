/**
 * The shortest run that ext4 was last asked to trim, kept for the whole file system.
 *
 * A group marked as trimmed is only looked at again when less is asked for than last time. The first
 * call of a trim in windows lowers that for all of them, and the groups of the other windows would
 * keep the runs that were too short before.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fromNodeError } from './kernel-error.js';

/**
 * @returns undoes what a call of FITRIM lowered; to be called after each.
 *
 * Source: fs/ext4/mballoc.c, ext4_trim_fs (s_last_trim_minblks); /sys/fs/ext4/<disk>/last_trim_minblks.
 */
export function keepTrimMinimum(deviceName: string): () => void {
  const path = `/sys/fs/ext4/${deviceName}/last_trim_minblks`;
  const before = readCount(path);
  return () => {
    if (readCount(path) >= before) return;
    try {
      writeFileSync(path, String(before));
    } catch (cause) {
      throw fromNodeError('write', cause, path);
    }
  };
}

/** 0 where the kernel does not tell: nothing is undone then. */
function readCount(path: string): number {
  try {
    return Number(readFileSync(path, 'latin1'));
  } catch {
    return 0;
  }
}
