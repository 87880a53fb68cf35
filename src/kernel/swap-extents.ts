/**
 * XFS: gives a file the blocks of its donor and the donor those of the file, in one transaction that
 * is done or not done, also after a crash. Nothing happens when the file was changed meanwhile.
 *
 * Source: linux/fs/xfs/libxfs/xfs_fs.h; xfs_fsr(8).
 */

import type { XfsFacts } from '../domain/findings.js';
import type { FileMark, XfsMove } from '../domain/move-tasks.js';
import type { ByteRun } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { type OpenFile, rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** XFS_FSOP_GEOM_FLAGS_*. */
const RMAP_FLAG = 0x0008_0000;
const REFLINK_FLAG = 0x0010_0000;
const EXCHANGE_FLAG = 0x0100_0000;

export interface XfsGeometry extends XfsFacts {
  readonly groupCount: number;
  /** An inode's number divided by this is the number of its allocation group. */
  readonly inodesPerGroup: bigint;
}

/** Source: XFS_IOC_FSGEOMETRY_V1. */
export function xfsGeometry(file: OpenFile): XfsGeometry {
  const reply = kernelAddon().xfsGeometry(file.fd);
  if (reply.errno !== 0) throw new KernelCallError('read the geometry of', reply.errno, file.path);
  const groupBits = Math.ceil(Math.log2(reply.groupBlocks));
  const inodeBits = Math.log2(reply.blockBytes / reply.inodeBytes);
  return {
    move: moveOf(reply.flags),
    hasReflink: (reply.flags & REFLINK_FLAG) !== 0,
    hasReverseMap: (reply.flags & RMAP_FLAG) !== 0,
    groupCount: reply.groupCount,
    inodesPerGroup: 1n << BigInt(groupBits + inodeBits),
  };
}

/**
 * Without a reverse map (`rmapbt`), SWAPEXT logs of a file with a tree of extents that its blocks
 * changed owner, and the log of a crash right after it cannot be replayed: the kernel checks the
 * inode before it has its new checksum, and the file system cannot be mounted. So it is never used
 * there. Seen on Linux 6.18; test/fs-pool/power-cut.test.ts found it.
 *
 * Source: fs/xfs/xfs_inode_item_recover.c, xfs_recover_inode_owner_change.
 */
function moveOf(flags: number): XfsMove {
  if ((flags & EXCHANGE_FLAG) !== 0) return 'commit-range';
  if ((flags & RMAP_FLAG) !== 0) return 'swap-extents';
  return (flags & REFLINK_FLAG) !== 0 ? 'share-range' : 'none';
}

/** Quotas let two files swap blocks only when both count for the same project. */
export function copyProject(file: OpenFile, donor: OpenFile): void {
  const errno = kernelAddon().copyProject(file.fd, donor.fd);
  if (errno !== 0) throw new KernelCallError('set the project of', errno, donor.path);
}

/**
 * Swaps all blocks of two files of the same size.
 *
 * @throws KernelCallError ERR_TARGET_BUSY when the file's times are not those of the mark.
 *
 * Source: XFS_IOC_SWAPEXT.
 */
export function swapExtents(
  file: OpenFile,
  donor: OpenFile,
  { inode, mark }: { readonly inode: bigint; readonly mark: FileMark },
): void {
  const errno = kernelAddon().swapExtents(
    file.fd,
    donor.fd,
    inode,
    BigInt(mark.sizeBytes),
    BigInt(mark.mtimeNs),
    BigInt(mark.ctimeNs),
  );
  if (errno !== 0) throw new KernelCallError('swap blocks of', errno, file.path);
}

/** What the file was like when it was sampled; means something to the kernel only. */
export type Freshness = Uint8Array;

/** Source: XFS_IOC_START_COMMIT, Linux 6.12. */
export function startCommit(file: OpenFile): Freshness {
  const { errno, freshness } = kernelAddon().startCommit(file.fd);
  if (errno !== 0) throw new KernelCallError('sample', errno, file.path);
  return freshness;
}

/**
 * Swaps a run of the file with as many bytes of the donor.
 *
 * @throws KernelCallError ERR_TARGET_BUSY when the file was changed since the sample.
 *
 * Source: XFS_IOC_COMMIT_RANGE, Linux 6.12.
 */
export function commitRange(request: {
  readonly file: OpenFile;
  readonly donor: OpenFile;
  readonly run: ByteRun;
  readonly donorStartBytes: number;
  readonly freshness: Freshness;
}): void {
  const { file, donor, run, donorStartBytes, freshness } = request;
  const [start, length] = rangeArguments(run);
  const errno = kernelAddon().commitRange(
    file.fd,
    donor.fd,
    start,
    BigInt(donorStartBytes),
    length,
    freshness,
  );
  if (errno !== 0) throw new KernelCallError('swap blocks of', errno, file.path);
}
