/**
 * Holding a block device exclusively, and the right to discard that comes with it.
 *
 * The kernel lets one open file description hold a device (O_EXCL); mounts, swap, LVM and mkfs do the
 * same, so that whoever comes second is refused. A duplicate of the descriptor is the same
 * description, in any process: the claim lasts until the last duplicate is closed.
 *
 * Source: open(2) (O_EXCL on block devices), block/bdev.c (bd_may_claim).
 */

import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { InvariantError } from '../domain/errors.js';
import type { DiscardGrant } from '../domain/tasks.js';
import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { fromNodeError, KernelCallError } from './kernel-error.js';

/** Proof that this process holds the device; only the functions here make one. */
export class DeviceClaim implements Disposable {
  readonly file: OpenFile;
  readonly deviceNumber: number;
  #held = true;

  private constructor(fd: number, path: string) {
    this.file = { fd, path };
    this.deviceNumber = fstatSync(fd).rdev;
  }

  /**
   * @returns null when somebody holds the device, or a part of it, or the whole of which it is one.
   * @throws KernelCallError when it cannot be opened for writing.
   */
  static take(path: string): DeviceClaim | null {
    try {
      const fd = openSync(path, constants.O_RDWR | constants.O_EXCL);
      return new DeviceClaim(fd, path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EBUSY') return null;
      throw fromNodeError('open for writing', cause, path);
    }
  }

  /**
   * Shares the claim of another process.
   *
   * @param fd of its claim, in that process.
   * @returns null when that process is gone, or the descriptor is of another device.
   * @throws KernelCallError ERR_PERMISSION when this process may not trace that one.
   */
  static share(pid: number, fd: number, path: string, deviceNumber: number): DeviceClaim | null {
    const reply = kernelAddon().duplicateDescriptor(pid, fd);
    if (reply.errno === ESRCH || reply.errno === EBADF) return null;
    if (reply.errno !== 0) throw new KernelCallError('share the claim on', reply.errno, path);
    const claim = new DeviceClaim(reply.fd, path);
    if (claim.deviceNumber === deviceNumber) return claim;
    claim.release();
    return null;
  }

  /** A claim of its own on the same device, so that it lasts however long this one does. */
  duplicate(): DeviceClaim {
    const { file, deviceNumber } = this;
    const claim = this.#held
      ? DeviceClaim.share(process.pid, file.fd, file.path, deviceNumber)
      : null;
    if (!claim) throw new InvariantError(`${file.path} is not held any more`);
    return claim;
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    closeSync(this.file.fd);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

const ESRCH = 3;
const EBADF = 9;

/** The right to discard on one device, as long as it is not disposed of. */
export interface GrantedDiscard extends Disposable {
  readonly grant: DiscardGrant;
}

/**
 * The only way to a `DiscardGrant`, without which nothing here discards: a device that is mounted
 * cannot be claimed, and one that is not ours does not pass `verify`.
 *
 * @param verify throws when the device is not the disk that it shall be; it reads what it needs from
 *   the claimed descriptor.
 */
export function grantDiscard(claim: DeviceClaim, verify: (file: OpenFile) => void): GrantedDiscard {
  const own = claim.duplicate();
  try {
    verify(own.file);
  } catch (cause) {
    own.release();
    throw cause;
  }
  const { file, deviceNumber } = own;
  // The one place that makes it: see DiscardGrant.
  const grant = { fd: file.fd, path: file.path, deviceNumber } as DiscardGrant;
  return { grant, [Symbol.dispose]: () => own.release() };
}
