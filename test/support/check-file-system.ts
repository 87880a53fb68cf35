/** Asks the checker of each file system, which changes nothing. */

import { spawnSync } from 'node:child_process';
import type { LoopFsType } from './loop-mounts.js';

const CHECKERS: Readonly<Record<LoopFsType, readonly string[]>> = {
  ext4: ['e2fsck', '-f', '-n'],
  xfs: ['xfs_repair', '-n'],
  btrfs: ['btrfs', 'check', '--readonly'],
};

/** @returns null when an unmounted file system is clean, else what its checker said. */
export function problemsOf(fsType: LoopFsType, devicePath: string): string | null {
  const [program = '', ...args] = CHECKERS[fsType];
  const { status, stdout, stderr } = spawnSync(program, [...args, devicePath], {
    encoding: 'utf8',
  });
  return status === 0 ? null : `${program} ended with ${status}\n${stdout}${stderr}`;
}
