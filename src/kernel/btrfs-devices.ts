/** The devices of a mounted Btrfs, each with its own figures. */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

export interface BtrfsDevice {
  /** Empty for a device that is missing. */
  readonly path: string;
  readonly sizeBytes: number;
  /** In chunks, whatever is free within them. */
  readonly chunkBytes: number;
}

/**
 * @param file any open file or directory of it.
 * @throws KernelCallError ERR_UNSUPPORTED elsewhere than on Btrfs.
 *
 * Source: linux/btrfs.h (BTRFS_IOC_FS_INFO, BTRFS_IOC_DEV_INFO).
 */
export function btrfsDevices(file: OpenFile): BtrfsDevice[] {
  const { errno, paths, figures } = kernelAddon().btrfsDevices(file.fd);
  if (errno !== 0) throw new KernelCallError('read the devices of', errno, file.path);
  return paths.map((path, index) => {
    const [sizeBytes = 0, chunkBytes = 0] = figures.subarray(2 * index);
    return { path, sizeBytes, chunkBytes };
  });
}
