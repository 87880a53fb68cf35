/** The task that trims one window of a mounted file system, and the one that reads its windows. */

import type { WireError } from './errors.js';
import type { FsType } from './mounts.js';
import type { MoveControl } from './move-tasks.js';
import type { FreedTotals, TrimEvidence, TrimWindow } from './trim-windows.js';
import type { ByteRun } from './units.js';

/** Where to look for what a trim did. */
export interface TrimDevice {
  /** In sysfs: `loop0`, `sda1`. Its discard counters are read. */
  readonly name: string;
  /** By which the chunks of a Btrfs name it; null elsewhere, or when it cannot be read. */
  readonly btrfsId: number | null;
  /** The file behind a loop device, if it can be reached. */
  readonly backing: { readonly path: string; readonly offsetBytes: number } | null;
}

// ---- read-trim-windows

export interface ReadTrimWindowsTask {
  readonly mountPath: string;
  /** Checked: after an unmount the path would be on another file system. */
  readonly mountId: number;
  readonly fsType: FsType;
  /** As `DetectedMount.sysfsName`. */
  readonly sysfsName: string | null;
  readonly devices: readonly TrimDevice[];
  /** The device below ext4 and XFS, or the members of a Btrfs, in bytes together. */
  readonly sizeBytes: number;
  readonly windowBytes: number;
  /** Free runs below this are not counted. */
  readonly minLengthBytes: number;
  /** Flushes the file system first: needed before a trim, not for a forecast. */
  readonly flush: boolean;
}

export interface TrimWindowList {
  /** Of before the flush: kept with what is trimmed after it. */
  readonly evidence: TrimEvidence;
  /** After the windows were read. */
  readonly freedAfter: FreedTotals | null;
  readonly windows: readonly TrimWindow[];
  /** Free space outside of all windows: what Btrfs has in no chunk; trimmed with any of them. */
  readonly outsideBytes: number;
}

// ---- trim-window

export interface TrimWindowTask {
  readonly mountPath: string;
  readonly mountId: number;
  readonly fsType: FsType;
  readonly window: ByteRun;
  /** Shorter free runs stay as they are; at least what the device frees at once. */
  readonly minLengthBytes: number;
  readonly devices: readonly TrimDevice[];
  /** Read between two calls of the kernel. */
  readonly stopFlag: MoveControl | null;
  /** What the steps begin with; `paceBytes` of the window before, null for the first. */
  readonly paceBytes: number | null;
}

/**
 * - `confirmed`: the backing file holds fewer blocks than before, and none for the free space;
 * - `nothing-held`: it held none for the free space, before or after;
 * - `not-confirmable`: nobody tells what the device did with it;
 * - `refused`: the backing file still holds blocks for what was asked to be discarded.
 */
export type TrimConfirmation = 'confirmed' | 'nothing-held' | 'not-confirmable' | 'refused';

export type TrimWindowOutcome =
  | TrimmedWindow
  | {
      readonly kind: 'unsupported';
      readonly error: WireError;
      readonly devices: readonly DeviceReceipt[];
    }
  | { readonly kind: 'failed'; readonly error: WireError; readonly nextBytes: number };

/** What a trim was seen to do with one device. */
export interface DeviceReceipt {
  readonly name: string;
  /** By how much its discard counter rose; refused discards count there, too. */
  readonly discardedBytes: number;
  /** By how much the file behind it shrank; null where there is none. Others' writes make it less. */
  readonly confirmedBytes: number | null;
  /** False once its queue says that it takes none, from the start or since it refused one. */
  readonly takesDiscards: boolean;
}

export interface TrimmedWindow {
  readonly kind: 'trimmed';
  /** FITRIM's number: what the file system says it asked for. No evidence of anything. */
  readonly requestedBytes: number;
  readonly devices: readonly DeviceReceipt[];
  /** Of all devices together. */
  readonly deviceDiscardedBytes: number;
  /** By how much backing files shrank; null where there is none. Others' writes make it less. */
  readonly confirmedBytes: number | null;
  /** What backing files still hold for free space after the trim; null where nobody can tell. */
  readonly heldBytes: number | null;
  readonly confirmation: TrimConfirmation;
  /** The first byte that is not trimmed: the window's end, unless it was stopped. */
  readonly nextBytes: number;
  readonly stepCount: number;
  /** The longest single call of the kernel. */
  readonly longestStepMs: number;
  readonly durationMs: number;
  readonly paceBytes: number | null;
}
