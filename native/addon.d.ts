/**
 * The border between TypeScript and C++: every function of native/addon.cc, same names, same order.
 *
 * Nothing here throws for an errno: it is returned, 0 means success, and src/kernel gives it a
 * meaning. A TypeError from here is a bug in src/kernel. Byte counts cross as `bigint`, because the
 * kernel counts in 64 bits; everywhere else in dynamicfs they are safe integers.
 * Every call is synchronous and blocks its thread: worker threads call it, the main thread does so
 * for what returns at once only.
 */
export interface Addon {
  /**
   * Allocates zeroed memory aligned to 4096 bytes, as O_DIRECT wants it; freed with the buffer.
   *
   * @throws RangeError when there is no memory left.
   *
   * Source: posix_memalign(3), open(2) (O_DIRECT).
   */
  allocateAligned(sizeBytes: number): ArrayBuffer;

  /**
   * Gives a range of a file back to its file system; it reads as zeros and the size stays.
   *
   * Source: fallocate(2) (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE).
   */
  punchHole(fd: number, startBytes: bigint, lengthBytes: bigint): number;

  /**
   * Counts the bytes of a range for which the file system holds space, written or not.
   *
   * Source: Documentation/filesystems/fiemap.rst (FS_IOC_FIEMAP).
   */
  mappedBytes(fd: number, startBytes: bigint, lengthBytes: bigint): MappedBytesReply;

  /**
   * Takes the exclusive lock of an open file without waiting; EAGAIN when it is held elsewhere.
   *
   * Source: flock(2) (LOCK_EX | LOCK_NB).
   */
  lockFile(fd: number): number;

  /**
   * Drops the clean cached pages of a range, so that the next read comes from the disk.
   *
   * Source: posix_fadvise(2) (POSIX_FADV_DONTNEED).
   */
  dropPageCache(fd: number, startBytes: bigint, lengthBytes: bigint): number;

  /**
   * Puts the calling thread, and no other one, in the idle I/O class.
   *
   * Source: ioprio_set(2) (IOPRIO_CLASS_IDLE).
   */
  setIdlePriority(): number;

  /**
   * Writes everything dirty of the file system that holds the file to its disk.
   *
   * Source: syncfs(2).
   */
  syncFileSystem(fd: number): number;

  /**
   * Asks a mounted file system to discard what is free in a range of its addresses.
   *
   * Source: linux/fs.h (FITRIM, struct fstrim_range), fstrim(8).
   */
  trimFileSystem(
    fd: number,
    startBytes: bigint,
    lengthBytes: bigint,
    minLengthBytes: bigint,
  ): TrimFileSystemReply;

  /**
   * Waits until XFS has freed the blocks of the files that were deleted; it does so in the background.
   *
   * Source: ioctl_xfs_free_eofblocks, asked for files of 2^64 bytes: none is, but it waits at its end.
   */
  finishFrees(fd: number): number;

  /**
   * Lists the free runs of a range of the data device, joined where they touch.
   *
   * Source: ioctl_getfsmap(2).
   */
  freeSpaceRuns(fd: number, startBytes: bigint, lengthBytes: bigint): FreeSpaceRunsReply;

  /**
   * Returns the items of one object and type in a tree, each with its header of 32 bytes.
   *
   * Source: linux/btrfs.h (BTRFS_IOC_TREE_SEARCH_V2, struct btrfs_ioctl_search_header).
   */
  btrfsTreeItems(
    fd: number,
    treeId: bigint,
    itemType: number,
    objectId: bigint,
  ): BtrfsTreeItemsReply;
}

export interface TrimFileSystemReply {
  readonly errno: number;
  /** What the file system says it asked for. */
  readonly trimmedBytes: bigint;
}

export interface FreeSpaceRunsReply {
  readonly errno: number;
  /** Start and length in bytes, one behind the other. */
  readonly runs: Float64Array;
  /** Where the file system ends, or the range if that is sooner. */
  readonly endBytes: bigint;
}

export interface BtrfsTreeItemsReply {
  readonly errno: number;
  readonly items: Buffer;
}

export interface MappedBytesReply {
  readonly errno: number;
  readonly mappedBytes: bigint;
  /** Records of the file system that touch the range; two may lie side by side on the disk. */
  readonly mappingCount: number;
}
