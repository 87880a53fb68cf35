/** What a run on a mounted file system was asked for, beyond what every run has. Pure. */

export interface FsRunOptions {
  /** Only this file, or what lies below this directory; a path below the mount, null for all. */
  readonly subtree: string | null;
  /** False with --no-verify: moved files are flushed, but not read back and compared. */
  readonly verify: boolean;
  /** Files that share blocks with others may be moved, which takes space for each. */
  readonly allowUnshare: boolean;
  /** Files that were written within this time are left alone: they may change again at once. */
  readonly quietMs: number;
}

export const QUIET_MS_DEFAULT = 10_000;

export const DEFAULT_FS_RUN_OPTIONS: FsRunOptions = {
  subtree: null,
  verify: true,
  allowUnshare: false,
  quietMs: QUIET_MS_DEFAULT,
};

/** What the scan of a run found. A run scans again when the first scan found more than fits the store. */
export interface FsRunScan {
  readonly scannedAtMs: number;
  readonly durationMs: number;
  /** More files were fragmented than the store takes at a time. */
  readonly truncated: boolean;
}
