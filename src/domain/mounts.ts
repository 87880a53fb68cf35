/** What is known of a mount and of the devices under it: plain data, gathered by src/kernel. */

/** One line of mountinfo. Source: proc(5), /proc/pid/mountinfo. */
export interface MountEntry {
  readonly mountId: number;
  readonly parentId: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** What of the file system is mounted here: `/`, or a bind mount's or subvolume's directory. */
  readonly root: string;
  readonly mountPath: string;
  /** False when the path is not UTF-8: then `mountPath` is for people only and cannot be opened. */
  readonly isPathExact: boolean;
  /** Of this mount: `rw`, `noatime`, … */
  readonly options: readonly string[];
  /** As the file system names itself: `ext4`, `fuse.sshfs`, … */
  readonly typeName: string;
  /** As mount(8) was given it: often a device, but any text for some file systems. */
  readonly source: string;
  /** Of the file system, whatever its mounts say: `rw`, `discard=async`, … */
  readonly superOptions: readonly string[];
}

export const FS_TYPES = ['ext4', 'xfs', 'btrfs', 'other'] as const;
/** `other`: analysis at most. ext2 and ext3 are among them, even if ext4's driver serves them. */
export type FsType = (typeof FS_TYPES)[number];

/** A mount with its devices, as the kernel has it now. */
export interface DetectedMount {
  readonly entry: MountEntry;
  readonly fsType: FsType;
  /** The mount or the whole file system. */
  readonly isReadOnly: boolean;
  /** The file system made itself read-only, as it does after an error. */
  readonly hasFailed: boolean;
  /** False for bind mounts and mounted subvolumes: other files share the space. */
  readonly isWhole: boolean;
  /** Btrfs may have several, the others one; none where no block device lies under it. */
  readonly devices: readonly BlockDevice[];
  /** Names `/sys/fs/<type>/<this>`: a device for ext4 and XFS, a UUID for Btrfs; null for others. */
  readonly sysfsName: string | null;
}

export interface BlockDevice {
  /** As sysfs names it, without `/dev/`: `loop0`, `nvme0n1p2`, `dm-0`. */
  readonly name: string;
  readonly path: string;
}

export function fsTypeOf(typeName: string): FsType {
  const known = FS_TYPES.find((type) => type === typeName);
  return known ?? 'other';
}
