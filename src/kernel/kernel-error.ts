/** The errors of the kernel: an errno, the call that failed and the path, as an error with a code. */

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { asMaintenanceError, type ErrorCode, MaintenanceError } from '../domain/errors.js';

const { errno: ERRNO } = constants;

/** EWOULDBLOCK is EAGAIN on Linux, and ENOTSUP is EOPNOTSUPP. */
const CODE_BY_ERRNO: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [ERRNO.ENOENT, 'ERR_TARGET_NOT_FOUND'],
  [ERRNO.ENXIO, 'ERR_TARGET_NOT_FOUND'],
  [ERRNO.ENODEV, 'ERR_TARGET_NOT_FOUND'],
  [ERRNO.EBUSY, 'ERR_TARGET_BUSY'],
  [ERRNO.ETXTBSY, 'ERR_TARGET_BUSY'],
  [ERRNO.EAGAIN, 'ERR_TARGET_BUSY'],
  [ERRNO.EOPNOTSUPP, 'ERR_UNSUPPORTED'],
  [ERRNO.ENOTTY, 'ERR_UNSUPPORTED'],
  [ERRNO.ENOSYS, 'ERR_UNSUPPORTED'],
  [ERRNO.EPERM, 'ERR_PERMISSION'],
  [ERRNO.EACCES, 'ERR_PERMISSION'],
  [ERRNO.EROFS, 'ERR_PERMISSION'],
  [ERRNO.ENOSPC, 'ERR_NO_SPACE'],
  [ERRNO.EDQUOT, 'ERR_NO_SPACE'],
]);

const NEXT_STEP: Readonly<Partial<Record<ErrorCode, string>>> = {
  ERR_TARGET_NOT_FOUND: 'Check the path, and that its disk is attached and mounted.',
  ERR_TARGET_BUSY: 'Another program is using it: try again when it is done.',
  ERR_UNSUPPORTED: 'This file system or kernel cannot do it: use ext4, XFS or Btrfs on Linux.',
  ERR_PERMISSION: 'Run it as a user who may write there, and check for a read-only mount.',
  ERR_NO_SPACE: 'Free some space, raise the quota or add a disk, then try again.',
  ERR_KERNEL: 'Look into the kernel log (dmesg) for what went wrong with the disk.',
};

/** Whether it is this user who may not, while all is well with the disk. */
export function isRefusal(errno: number): boolean {
  return errno === ERRNO.EACCES || errno === ERRNO.EPERM;
}

/** A kernel call that failed. `details` has the call, the errno and the path for `--json`. */
export class KernelCallError extends MaintenanceError {
  /**
   * @param call what was tried, in words: `punch hole`.
   * @param errno positive, as the kernel's headers define it.
   */
  constructor(call: string, errno: number, path: string, cause?: unknown) {
    const code = CODE_BY_ERRNO.get(errno) ?? 'ERR_KERNEL';
    const { name, text } = describe(errno);
    const nextStep = NEXT_STEP[code];
    super(code, `cannot ${call} ${path}: ${text} (${name})`, {
      ...(nextStep === undefined ? {} : { nextStep }),
      details: { call, errno, errnoName: name, path },
      cause,
    });
    this.name = 'KernelCallError';
  }
}

/**
 * Gives an error thrown by `node:fs` its code.
 *
 * @returns a MaintenanceError unchanged; what has no errno is a bug until proven else.
 */
export function fromNodeError(call: string, cause: unknown, path: string): MaintenanceError {
  if (cause instanceof MaintenanceError) return cause;
  const errno = cause instanceof Error && 'errno' in cause ? cause.errno : null;
  // libuv negates the kernel's numbers.
  if (typeof errno === 'number' && errno < 0) return new KernelCallError(call, -errno, path, cause);
  return asMaintenanceError(cause);
}

/** libuv knows the common ones in words; the others at least have their name. */
function describe(errno: number): { readonly name: string; readonly text: string } {
  // libuv thinks of sockets here.
  if (errno === ERRNO.EOPNOTSUPP) return { name: 'EOPNOTSUPP', text: 'Operation not supported' };
  const known = getSystemErrorMap().get(-errno);
  if (known !== undefined) {
    const [name, text] = known;
    return { name, text: text.charAt(0).toUpperCase() + text.slice(1) };
  }
  const name = Object.entries(ERRNO).find(([, value]) => value === errno)?.[0];
  return { name: name ?? `errno ${errno}`, text: 'The kernel refused' };
}
