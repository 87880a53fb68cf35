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
   * Counts the files of a mount and where they lie, in threads of its own; the caller waits.
   *
   * Source: native/scan-*.cc names what each way of doing it reads.
   */
  scanFileSystem(request: ScanRequest): ScanReply;

  /**
   * Lists the free space of a mount.
   *
   * Source: ioctl_getfsmap(2); BTRFS_IOC_TREE_SEARCH_V2 on Btrfs.
   */
  scanFreeSpace(request: FreeSpaceRequest): FreeSpaceReply;
}

export interface MappedBytesReply {
  readonly errno: number;
  readonly mappedBytes: bigint;
  /** Records of the file system that touch the range; two may lie side by side on the disk. */
  readonly mappingCount: number;
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
  /**
   * Rows of 8: size, allocated, fragments, ideal, mtime and access in ms, tier, flags. Not as
   * `bigint`, since there are thousands, and no file is longer than a safe integer.
   */
  readonly candidates: Float64Array;
  /** In hex; empty where there is none. */
  readonly candidateHandles: string[];
  readonly candidatePaths: string[];
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
}
