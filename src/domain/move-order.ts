/**
 * In which order a run moves files: the worst first, and those about as bad in the order of their
 * inodes, which is that of the file system's tables, so that what is read and written for one serves
 * the next.
 */

import { type FileHandle, gainOf, type ScanCandidate } from './file-scan.js';

/** Gains that differ by less are alike: log2 of the factor, 16. */
const GAIN_CLASS_BITS = 4;

/** Types of handles. Source: include/linux/exportfs.h (enum fid_type), fs/xfs/xfs_export.h. */
const FILEID_INO32_GEN = 0x01;
const FILEID_BTRFS_WITHOUT_PARENT = 0x4d;
const XFS_FILEID_TYPE_64FLAG = 0x80;

/** @returns 0 for gains below 16, 1 below 256, and so on: the higher, the earlier it is moved. */
export function gainClassOf(file: Parameters<typeof gainOf>[0]): number {
  return Math.floor(Math.log2(Math.max(1, gainOf(file))) / GAIN_CLASS_BITS);
}

/** @returns the files in the order of their inodes; where handles do not tell, as they were. */
export function inInodeOrder<File extends Pick<ScanCandidate, 'handle'>>(
  files: readonly File[],
): File[] {
  return files
    .map((file) => ({ file, place: placeOf(file.handle ?? '') }))
    .sort((a, b) => a.place.treeId - b.place.treeId || a.place.inode - b.place.inode)
    .map(({ file }) => file);
}

interface InodePlace {
  /** Btrfs: the subvolume. */
  readonly treeId: number;
  readonly inode: number;
}

const UNKNOWN_PLACE: InodePlace = { treeId: 0, inode: 0 };

function placeOf(handle: FileHandle): InodePlace {
  const type = Number.parseInt(handle.slice(0, 2), 16);
  const bytes = Uint8Array.from(handle.slice(2).match(/../g) ?? [], (digits) =>
    Number.parseInt(digits, 16),
  );
  if (type === FILEID_BTRFS_WITHOUT_PARENT && bytes.length >= 16) {
    return { inode: readU64(bytes, 0), treeId: readU64(bytes, 8) };
  }
  if (type === (FILEID_INO32_GEN | XFS_FILEID_TYPE_64FLAG) && bytes.length >= 8) {
    return { inode: readU64(bytes, 0), treeId: 0 };
  }
  if (type !== FILEID_INO32_GEN || bytes.length < 4) return UNKNOWN_PLACE;
  return { inode: new Uint32Array(bytes.slice(0, 4).buffer)[0] ?? 0, treeId: 0 };
}

/** As the kernel of this machine wrote it; inode numbers are below 2^53. */
function readU64(bytes: Uint8Array, at: number): number {
  return Number(new BigUint64Array(bytes.slice(at, at + 8).buffer)[0]);
}
