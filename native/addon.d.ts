/**
 * The border between TypeScript and C++: every function of native/addon.cc, same names, same order.
 *
 * Nothing here throws for an errno: it is returned, 0 means success, and src/kernel gives it a
 * meaning. A TypeError from here is a bug in src/kernel. Byte counts cross as `bigint`, because the
 * kernel counts in 64 bits; everywhere else in dynamicfs they are safe integers.
 * Every call but `flushFile` is synchronous and blocks its thread: worker threads call it, the main
 * thread does so for what returns at once only.
 */
export interface Addon {
  /**
   * Allocates zeroed memory aligned to 4096 bytes, as O_DIRECT wants it; freed with the buffer.
   *
   * @throws RangeError when there is no memory left.
   *
   * Source: mmap(2), open(2) (O_DIRECT).
   */
  allocateAligned(sizeBytes: number): ArrayBuffer;

  /**
   * Asks for huge pages in memory that begins at a page and that nobody has touched yet: a wish.
   *
   * @returns 0 or an errno: EINVAL where the kernel has none.
   *
   * Source: madvise(2) (MADV_HUGEPAGE).
   */
  preferHugePages(memory: Uint8Array): number;

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
   * Takes a lock that others may share, as `lockFile`.
   *
   * Source: flock(2) (LOCK_SH | LOCK_NB).
   */
  shareLock(fd: number): number;

  /**
   * Drops the clean cached pages of a range, so that the next read comes from the disk.
   *
   * Source: posix_fadvise(2) (POSIX_FADV_DONTNEED).
   */
  dropPageCache(fd: number, startBytes: bigint, lengthBytes: bigint): number;

  /**
   * Asks for a range to be read into the page cache, without waiting for it.
   *
   * Source: posix_fadvise(2) (POSIX_FADV_WILLNEED).
   */
  readAhead(fd: number, startBytes: bigint, lengthBytes: bigint): number;

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
   * Begins to read many ranges into one buffer with threads of its own, in this order, and returns
   * at once. The buffer must live, and nobody else use it, until `finishTransfers`.
   *
   * @param requests four numbers each: fd, where in the file, how many bytes, where in the buffer.
   *
   * Source: pread(2).
   */
  beginReads(requests: Float64Array, buffer: Uint8Array, threadCount: number): TransfersHandle;

  /**
   * As `beginReads`, from the buffer into the files.
   *
   * Source: pwrite(2).
   */
  beginWrites(requests: Float64Array, buffer: Uint8Array, threadCount: number): TransfersHandle;

  /**
   * Waits until one request is done.
   *
   * @returns bytes read or written, or a negative errno.
   */
  waitForTransfer(transfers: TransfersHandle, index: number): number;

  /**
   * Waits until all is done.
   *
   * @param results one number each: bytes read or written, or a negative errno.
   * @returns 0.
   */
  finishTransfers(transfers: TransfersHandle, results: Float64Array): number;

  /**
   * Opens files by their handles: follows no path and no link, and stays on their file system.
   *
   * @param mountFd any open file of the file system.
   * @param handles hex: one byte type, then the handle.
   * @param flags as open(2); O_CLOEXEC is added.
   * @returns per handle a descriptor, or a negative errno. EINVAL: not a handle. ESTALE: there is no
   *   such file any more.
   *
   * Source: open_by_handle_at(2).
   */
  openByHandles(mountFd: number, handles: readonly string[], flags: number): Int32Array;

  /**
   * The handle of an open file, as `openByHandles` takes it.
   *
   * Source: name_to_handle_at(2) (AT_EMPTY_PATH).
   */
  fileHandle(fd: number): FileHandleReply;

  /**
   * What files are, and whether they have an extended attribute.
   *
   * @param attribute its name; empty to ask for none.
   *
   * Source: statx(2), fgetxattr(2).
   */
  lookAtFiles(fds: Int32Array, attribute: string): LooksReply;

  /**
   * What those who are not root may still allocate on the file system of an open file, in bytes.
   *
   * @returns a negative errno when it is not told.
   *
   * Source: fstatfs(2).
   */
  freeBytes(fd: number): number;

  /**
   * Lists the mappings that touch a range, in the order of the file.
   *
   * Source: Documentation/filesystems/fiemap.rst (FS_IOC_FIEMAP).
   */
  fileMappings(fd: number, startBytes: bigint, lengthBytes: bigint): MappingsReply;

  /**
   * As `writeBack` with a wait, and then `fileMappings` of the whole, for many files.
   *
   * Source: sync_file_range(2), Documentation/filesystems/fiemap.rst (FS_IOC_FIEMAP).
   */
  flushAndMapFiles(fds: Int32Array): MapsReply;

  /**
   * Allocates space for a range without writing it; the size of the file stays.
   *
   * Source: fallocate(2) (FALLOC_FL_KEEP_SIZE).
   */
  allocate(fd: number, startBytes: bigint, lengthBytes: bigint): number;

  /**
   * Makes reads through this descriptor cache single pages instead of large folios.
   *
   * Source: posix_fadvise(2) (POSIX_FADV_RANDOM).
   */
  adviseRandom(fd: number): number;

  /**
   * Starts writing the dirty pages of a range, and waits for that when asked to. Neither metadata
   * nor the disk's cache is flushed. Waiting reports errors of earlier writes, once per descriptor. On
   * Btrfs it also waits until the file refers to what was written.
   *
   * Source: sync_file_range(2); FIEMAP_FLAG_SYNC.
   */
  writeBack(fd: number, startBytes: bigint, lengthBytes: bigint, wait: number): number;

  /**
   * Swaps blocks of two files on ext4 and copies the first one's content along.
   *
   * Source: EXT4_IOC_MOVE_EXT in linux/fs/ext4/ext4.h.
   */
  moveExtents(
    fd: number,
    donorFd: number,
    startBlock: bigint,
    donorStartBlock: bigint,
    lengthBlocks: bigint,
  ): MoveExtentsReply;

  /**
   * Source: XFS_IOC_FSGEOMETRY_V1 in linux/fs/xfs/libxfs/xfs_fs.h.
   */
  xfsGeometry(fd: number): XfsGeometryReply;

  /**
   * Gives the donor the project of the file, as quotas demand before a swap.
   *
   * Source: ioctl_fsgetxattr(2).
   */
  copyProject(fd: number, donorFd: number): number;

  /**
   * Swaps all blocks of two files on XFS; EBUSY when the times of the first are not as given.
   *
   * Source: XFS_IOC_SWAPEXT in linux/fs/xfs/libxfs/xfs_fs.h; xfs_fsr(8).
   */
  swapExtents(
    fd: number,
    donorFd: number,
    inode: bigint,
    sizeBytes: bigint,
    mtimeNs: bigint,
    ctimeNs: bigint,
  ): number;

  /**
   * Takes a sample by which `commitRange` sees whether the file was changed since.
   *
   * Source: XFS_IOC_START_COMMIT, Linux 6.12.
   */
  startCommit(fd: number): StartCommitReply;

  /**
   * Swaps a range of two files on XFS; EBUSY when the first was changed since the sample.
   *
   * Source: XFS_IOC_COMMIT_RANGE, Linux 6.12.
   */
  commitRange(
    fd: number,
    donorFd: number,
    startBytes: bigint,
    donorStartBytes: bigint,
    lengthBytes: bigint,
    freshness: Uint8Array,
  ): number;

  /**
   * Makes Btrfs write a range anew when it writes it back; mappings of the threshold or more are left.
   *
   * Source: BTRFS_IOC_DEFRAG_RANGE in linux/btrfs.h.
   */
  defragmentRange(
    fd: number,
    startBytes: bigint,
    lengthBytes: bigint,
    thresholdBytes: bigint,
  ): number;

  /**
   * Waits until no other thread of this process has the turn at the mount for this kind of work, any
   * number. The thread that took it leaves it.
   */
  takeTurn(mountFd: number, kind: number): number;
  leaveTurn(mountFd: number, kind: number): number;

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

  /**
   * Counts the files of a mount and where they lie, in threads of its own; the caller waits.
   *
   * Source: native/scan-*.cc names what each way of doing it reads.
   */
  scanFileSystem(request: ScanRequest): ScanReply;

  /**
   * Finds the paths of files below a mount. Where the kernel has none in memory all directories are
   * listed, until each is found.
   *
   * Source: open_by_handle_at(2), proc(5) (/proc/PID/fd), getdents64(2).
   */
  nameFiles(request: NameRequest): NameReply;

  /**
   * Lists the free space of a mount.
   *
   * Source: ioctl_getfsmap(2); BTRFS_IOC_TREE_SEARCH_V2 on Btrfs.
   */
  scanFreeSpace(request: FreeSpaceRequest): FreeSpaceReply;

  /**
   * Makes a range of a file share the blocks of another file's range.
   *
   * Source: ioctl_ficlonerange(2).
   */
  cloneRange(
    fd: number,
    sourceFd: number,
    sourceStartBytes: bigint,
    lengthBytes: bigint,
    startBytes: bigint,
  ): number;

  /**
   * Makes a file below a directory, root's alone, whose blocks are those of a range of another file.
   *
   * @returns 0; the errno of making it; or the negative errno of sharing, and then it is gone again.
   *
   * Source: open(2) (O_CREAT | O_EXCL), ioctl_ficlonerange(2).
   */
  cloneToNewFile(
    directoryFd: number,
    name: string,
    sourceFd: number,
    startBytes: bigint,
    lengthBytes: bigint,
  ): number;

  /**
   * Removes files below a directory.
   *
   * @returns per name 0 or an errno.
   *
   * Source: unlink(2) (unlinkat).
   */
  removeFiles(directoryFd: number, names: readonly string[]): Int32Array;

  /**
   * Makes a range of a file share the blocks of another file's range, if the kernel finds the same in
   * both while it keeps writers out. `sharedBytes` may be less than asked for.
   *
   * Source: ioctl_fideduperange(2).
   */
  dedupeRange(
    fd: number,
    sourceFd: number,
    sourceStartBytes: bigint,
    lengthBytes: bigint,
    startBytes: bigint,
  ): DedupeRangeReply;

  /**
   * Takes (1) or gives back (0) the write lease of a file: EAGAIN when anybody else has it open;
   * who opens it while it is held waits.
   *
   * Source: fcntl(2) (F_SETLEASE).
   */
  leaseFile(fd: number, take: number): number;

  /**
   * Sets the time of the last change of content, to the nanosecond; the access time stays.
   *
   * Source: futimens(3).
   */
  setModifiedTime(fd: number, mtimeNs: bigint): number;

  /**
   * Lists the devices of a mounted Btrfs.
   *
   * Source: linux/btrfs.h (BTRFS_IOC_FS_INFO, BTRFS_IOC_DEV_INFO).
   */
  btrfsDevices(fd: number): BtrfsDevicesReply;

  /**
   * Source: linux/fs.h (BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKROGET). ENOTTY: no block device.
   */
  deviceGeometry(fd: number): DeviceGeometryReply;

  /**
   * Tells a block device that a range is unused. Also 0 when a layer below refused: see
   * `src/kernel/discard-device.ts`.
   *
   * Source: blkdiscard(8), linux/fs.h (BLKDISCARD).
   */
  discardRange(fd: number, startBytes: bigint, lengthBytes: bigint): number;

  /**
   * Erases all copies that the device has of a range; EOPNOTSUPP on nearly every device.
   *
   * Source: blkdiscard(8), linux/fs.h (BLKSECDISCARD).
   */
  secureDiscardRange(fd: number, startBytes: bigint, lengthBytes: bigint): number;

  /**
   * Writes zeros over a range of a block device, and never unmaps it instead.
   *
   * Source: linux/fs.h (BLKZEROOUT), block/ioctl.c (BLKDEV_ZERO_NOUNMAP).
   */
  zeroRange(fd: number, startBytes: bigint, lengthBytes: bigint): number;

  /**
   * Duplicates a descriptor of another process, or of this one: both are one open file then, so that
   * an exclusive open lasts until the last of them is closed.
   *
   * Source: pidfd_getfd(2). EPERM: this process may not trace that one.
   */
  duplicateDescriptor(pid: number, fd: number): OpenReply;

  /**
   * Asks a disk for its first block, in a process of its own, which is left behind when it takes too
   * long. Blocks this thread so long.
   *
   * @param path a device or a file.
   * @returns 0 or the errno of the answer; ETIMEDOUT when there is none.
   *
   * Source: vfork(2), open(2) (O_DIRECT).
   */
  probeDisk(path: string, timeoutMs: number): number;

  /** Makes what can have one call under way, in a thread of its own that it starts at the first. */
  newFileCaller(): FileCallerHandle;

  /**
   * Begins a call and does not wait for it.
   *
   * @param call 1 reads, 2 writes, 3 flushes, 4 reads the first block of a descriptor with O_DIRECT.
   * @param bytes a MiB at most: as many are read, or these are written; copied.
   * @returns 0 or an errno; EBUSY while another one is under way.
   *
   * Source: pread(2), pwrite(2), fdatasync(2).
   */
  beginFileCall(
    caller: FileCallerHandle,
    call: number,
    fd: number,
    atBytes: bigint,
    bytes: Uint8Array,
  ): number;

  /** @returns 0 when no call is under way, else ETIMEDOUT after so long. */
  waitForFileCall(caller: FileCallerHandle, timeoutMs: number): number;

  /**
   * What came of the last call.
   *
   * @param bytes what was read is copied to.
   * @returns bytes done or a negative errno; EBUSY while it is under way.
   */
  takeFileCall(caller: FileCallerHandle, bytes: Uint8Array): number;

  /** Ends the thread, when the call under way has come back. @returns 0. */
  endFileCalls(caller: FileCallerHandle): number;

  /**
   * Makes the content of a file durable, in a thread of its own: this one goes on.
   *
   * @returns 0 or an errno.
   *
   * Source: fdatasync(2).
   */
  flushFile(fd: number): PendingErrno;

  /**
   * Ends this process without waiting for its threads, one of which may wait for a disk that hangs.
   *
   * Source: _exit(2).
   */
  endProcess(code: number): never;
}

export interface DeviceGeometryReply {
  readonly errno: number;
  readonly sizeBytes: bigint;
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes: number;
  /** 1 or 0. */
  readonly isReadOnly: number;
}

/** Reads or writes under way: only those that wait for it look into it. */
export type TransfersHandle = object & { readonly transfers: unique symbol };

/** Makes calls of files one after the other. */
export type FileCallerHandle = object & { readonly calls: unique symbol };

export type PendingErrno = Promise<number>;

export interface OpenReply {
  readonly errno: number;
  /** Negative after an error. */
  readonly fd: number;
}

export interface FileHandleReply {
  readonly errno: number;
  readonly type: number;
  readonly handle: Uint8Array;
}

export interface LooksReply {
  /**
   * Ten per file: errno of statx; errno of the attribute, 0 when the file has it and ENODATA when not;
   * 1 for a regular file; size in bytes; device number; user; group; block size in bytes; STATX_ATTR
   * bits; the later of mtime and ctime in ms since the epoch.
   */
  readonly numbers: Float64Array;
  /** One per file. */
  readonly inodes: BigUint64Array;
  /** Two per file: mtime and ctime in nanoseconds since the epoch, decimal. */
  readonly times: readonly string[];
}

export interface MapsReply {
  /** Two per file: of the write-back, and of the mappings, which are not asked for after an error. */
  readonly errnos: Int32Array;
  /** How many mappings each file has. */
  readonly counts: Int32Array;
  /** As `MappingsReply`, of one file after the other. */
  readonly records: Float64Array;
}

export interface MappingsReply {
  readonly errno: number;
  /** Four numbers per mapping: logical, physical and length in bytes, FIEMAP_EXTENT flags. */
  readonly records: Float64Array;
}

export interface MoveExtentsReply {
  readonly errno: number;
  /** After an error too: part may have moved. */
  readonly movedBlocks: bigint;
}

export interface XfsGeometryReply {
  readonly errno: number;
  readonly blockBytes: number;
  readonly inodeBytes: number;
  /** Of an allocation group. */
  readonly groupBlocks: number;
  readonly groupCount: number;
  /** XFS_FSOP_GEOM_FLAGS. */
  readonly flags: number;
}

export interface StartCommitReply {
  readonly errno: number;
  readonly freshness: Uint8Array;
}

export interface DedupeRangeReply {
  readonly errno: number;
  /** 1 when the contents are not the same: nothing was shared. */
  readonly differs: number;
  readonly sharedBytes: bigint;
}

export interface MappedBytesReply {
  readonly errno: number;
  readonly mappedBytes: bigint;
  /** Records of the file system that touch the range; two may lie side by side on the disk. */
  readonly mappingCount: number;
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

export interface BtrfsDevicesReply {
  readonly errno: number;
  /** Empty for one that is missing. */
  readonly paths: string[];
  /** Rows of 2: size, bytes in chunks. */
  readonly figures: Float64Array;
}

/** Empty strings for what there is none of. */
export interface ScanRequest {
  readonly source: 'walk' | 'ext4' | 'xfs' | 'btrfs';
  readonly mountPath: string;
  readonly fsType: string;
  readonly subtree: string;
  readonly devicePath: string;
  readonly threadCount: number;
  readonly candidateLimit: number;
  readonly nameCount: number;
  readonly mapCellCount: number;
  readonly targetFragmentBytes: number;
  readonly nowMs: number;
  /** Stop flag (1 ends it), then the files so far: lower and upper 32 bits. */
  readonly control: Int32Array | null;
}

/** With an errno, only that and the call that failed. */
export interface ScanReply {
  readonly errno: number;
  readonly failedCall: string;
  readonly stopped: boolean;
  readonly sharedKnown: boolean;
  /** Empty when there is none. */
  readonly slowReason: string;
  readonly truncated: boolean;
  /** 0 when no file failed. */
  readonly firstErrno: number;
  /** In the order of enum Figure in native/scan.h. */
  readonly figures: BigUint64Array;
  readonly countClasses: BigUint64Array;
  readonly sizeClassCounts: BigUint64Array;
  readonly sizeClassBytes: BigUint64Array;
  /** Empty without a map, as are the other cells. */
  readonly usedCells: BigUint64Array;
  readonly fragmentedCells: BigUint64Array;
  readonly mapSpaceBytes: number;
  readonly mapCellBytes: number;
  readonly mapIsLogical: boolean;
  /** Of a Btrfs of several devices; empty for all others. A missing device has no path. */
  readonly devicePaths: string[];
  /** Rows of 6: size, then in the order of enum DeviceFigure in native/scan.h. */
  readonly deviceFigures: BigUint64Array;
  /**
   * Rows of 8: size, allocated, fragments, ideal, mtime and access in ms, tier, flags. Not as
   * `bigint`, since there are thousands, and no file is longer than a safe integer.
   */
  readonly candidates: Float64Array;
  /** In hex; empty where there is none. */
  readonly candidateHandles: string[];
  readonly candidatePaths: string[];
}

export interface NameRequest {
  readonly mountPath: string;
  /** Hex: one byte type, then the handle. */
  readonly handles: string[];
  /** As that of a scan, which is asked whether to stop. */
  readonly control: Int32Array | null;
}

export interface NameReply {
  /** One for each handle, as bytes in hex; empty where none was found. */
  readonly paths: string[];
}

export interface FreeSpaceRequest {
  readonly mountPath: string;
  readonly fsType: string;
  readonly mapCellCount: number;
}

export interface FreeSpaceReply {
  readonly errno: number;
  readonly failedCall: string;
  /** 0 GETFSMAP, 1 free-space tree, 2 extent tree. */
  readonly source: number;
  /** Free bytes, bytes of the largest run, runs, bytes in no chunk. */
  readonly figures: BigUint64Array;
  readonly classCounts: BigUint64Array;
  readonly classBytes: BigUint64Array;
  readonly freeCells: BigUint64Array;
  readonly mapSpaceBytes: number;
  readonly mapCellBytes: number;
  readonly mapIsLogical: boolean;
  readonly devicePaths: string[];
  /** Rows: size, free bytes, bytes of the largest run, runs; 64 counts, then 64 bytes, by class. */
  readonly deviceFigures: BigUint64Array;
}
