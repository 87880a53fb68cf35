/**
 * Moving files of a mounted file system to where they are contiguous: what the main thread hands to
 * the workers and what comes back. Plain data; docs/file-moves.md says why each step is safe.
 *
 * A group of files goes through three steps, so that only the main thread writes SQLite:
 *   'prepare-moves'   looks at each file, checksums it and allocates its donor;
 *   the main thread   writes the intents of the group in one transaction;
 *   'finish-moves'    moves, flushes, reads back, compares, and only then gives up the donors.
 * 'settle-intents' does the rest of a group that a crash or an error left open.
 *
 * A file of which only a piece can be moved at a time comes back with `resumeBytes`: it goes into a
 * later group with that as its `startBytes`.
 */

import type { WireError } from './errors.js';
import type { ByteRun } from './units.js';

export type MovableFileSystem = 'ext4' | 'xfs' | 'btrfs';

/** The kernel's interface that does the move. */
export type MoveMethod =
  /** ext4: EXT4_IOC_MOVE_EXT. */
  | 'move-extents'
  /** XFS with the `exchange` feature, Linux 6.12: XFS_IOC_COMMIT_RANGE. */
  | 'commit-range'
  /** XFS with the `reflink` feature, the default since 2018: FIDEDUPERANGE with the donor. */
  | 'share-range'
  /** XFS with the `rmapbt` feature: XFS_IOC_SWAPEXT. */
  | 'swap-extents'
  /** Btrfs: BTRFS_IOC_DEFRAG_RANGE. */
  | 'defragment-range';

/** What moves files of an XFS; 'none' where no interface is safe. */
export type XfsMove = 'commit-range' | 'share-range' | 'swap-extents' | 'none';

/** Why a file was left as it is; docs/file-moves.md explains each. A test holds the two together. */
export const SKIP_REASONS = [
  'contiguous',
  'shared',
  'compressed',
  'inline',
  'immutable',
  'append-only',
  'swap-file',
  'dax',
  'encrypted',
  'verity',
  'just-written',
  'opted-out',
  'not-a-regular-file',
  'read-only',
  'no-better-place',
  'no-space',
  'too-large',
  'vanished',
  'changed',
  'busy',
  'unsupported',
] as const;

export type SkipReason = (typeof SKIP_REASONS)[number];

/** Files of one group at most: their intents are one transaction and their flush is one. */
export const MOVE_GROUP_FILES_MAX = 256;

/** Bytes of one group at most, unless it is one file. */
export const MOVE_GROUP_BYTES_MAX = 128 * 1024 * 1024;

export const GROUPS_PER_THREAD_MAX = 2;

/**
 * Groups under way for each thread that a run may use, when it is not held back. On Btrfs a thread
 * that has its pages written waits for the disk in the kernel: meanwhile another group is read. So it
 * is on ext4 while nothing is compared; else, and on XFS, it made nothing faster, as the work keeps the
 * processor busy.
 */
export function groupsPerThread(fsType: MovableFileSystem, verify: boolean): number {
  const waitsForDisk = fsType === 'btrfs' || (fsType === 'ext4' && !verify);
  return waitsForDisk ? GROUPS_PER_THREAD_MAX : 1;
}

/** Sizes and times by which a change of a file is seen. Decimal text: nanoseconds need 64 bits. */
export interface FileMark {
  readonly sizeBytes: number;
  readonly mtimeNs: string;
  readonly ctimeNs: string;
}

/** What every task says about the mount. */
export interface MoveMount {
  readonly mountPath: string;
  /** `st_dev` of the mount's root: should it be unmounted, nothing is done to what lies below. */
  readonly deviceNumber: number;
  readonly fsType: MovableFileSystem;
}

/**
 * Numbers that the main thread changes while a task runs, read between its pieces of work.
 *
 * [MOVE_STOP]: 1 ends the task; `Atomics.notify` ends a wait for the pace.
 * [MOVE_RATE]: KiB a second that one task may read and write, 0 for no limit. With a limit the
 * windows are small.
 * [MOVE_DUTY]: how much of the time one thread may work, as `dutyOf` of governor.ts; 0 for all of it.
 * [MOVE_TURN]: changes with it, or with the stop; `Atomics.notify` ends a rest.
 */
export type MoveControl = Int32Array<SharedArrayBuffer>;
export const MOVE_STOP = 0;
export const MOVE_RATE = 1;
export const MOVE_DUTY = 2;
export const MOVE_TURN = 3;
const MOVE_CONTROL_LENGTH = 4;

export function makeMoveControl(): MoveControl {
  const bytes = MOVE_CONTROL_LENGTH * Int32Array.BYTES_PER_ELEMENT;
  return new Int32Array(new SharedArrayBuffer(bytes));
}

// ---- prepare-moves

export interface PrepareMovesTask extends MoveMount {
  readonly files: readonly MoveRequest[];
  /** Names the donors of this group; unique among all groups, letters, digits and `-` only. */
  readonly groupName: string;
  /** False with --no-verify: no checksum and no read-back. */
  readonly verify: boolean;
  /** Whether files that share blocks (reflinks, snapshots) may be moved, which unshares them. */
  readonly allowUnshare: boolean;
  /** Files written within this time are skipped: 'just-written'. 0 to take them all. */
  readonly quietMs: number;
  /** What must stay free on the file system while the donors exist. */
  readonly freeBytesMin: number;
  /** Looks and plans only: allocates nothing and reads no content. */
  readonly dryRun: boolean;
  /**
   * From 0, beside others, to SECOND_MOVE_TRY: which place is good enough for a piece in many
   * fragments, which else is left alone, since it may find a better one later.
   */
  readonly placeTry: number;
  readonly control: MoveControl | null;
}

export interface MoveRequest {
  /** As `FileHandle` of the scan: hex, one byte type and then the handle. */
  readonly handle: string;
  /** 0, or where an earlier move of this file ended (`resumeBytes`). */
  readonly startBytes: number;
}

export type PrepareOutcome =
  /** Its intent must be stored before 'finish-moves'. */
  | { readonly kind: 'ready'; readonly intent: MoveIntent; readonly plan: MovePlan }
  /** Only with `dryRun`. */
  | { readonly kind: 'planned'; readonly plan: MovePlan }
  | {
      readonly kind: 'skipped';
      readonly reason: SkipReason;
      /** Null where it was not counted. */
      readonly fragmentCount: number | null;
    }
  | { readonly kind: 'failed'; readonly error: WireError }
  /** Stopped before; nothing is left of it. */
  | { readonly kind: 'not-begun' };

/** What a move does, for progress, dry runs and budgets. */
export interface MovePlan {
  readonly sizeBytes: number;
  /** Bytes of the piece that are rewritten. */
  readonly moveBytes: number;
  /** Fragments of the whole file now. */
  readonly fragmentsBefore: number;
  /** Fragments of the piece now, and after the move as the donor has them. */
  readonly pieceFragmentsBefore: number;
  readonly pieceFragmentsAfter: number;
  readonly method: MoveMethod;
  /** Where the next piece begins; null when this one is the last. */
  readonly resumeBytes: number | null;
}

/**
 * All that is needed to finish or undo a move after a crash. JSON: the store keeps it as text.
 *
 * The donor is a file in `.dynamicfs` below the mount's root. Files of a group may share one, each
 * with its own range of it.
 */
export interface MoveIntent {
  readonly handle: string;
  readonly method: MoveMethod;
  /** The piece of the file that moves: whole blocks, or up to the end of the file. */
  readonly startBytes: number;
  readonly lengthBytes: number;
  /** BLAKE3 of the piece in hex before the move; null with --no-verify. */
  readonly checksum: string | null;
  readonly mark: FileMark;
  /**
   * Null on Btrfs without verification where a better place is sure: Btrfs itself keeps the old
   * blocks until the file refers to the new ones, and nothing is compared that would need them later.
   */
  readonly donor: DonorPlace | null;
}

export interface DonorPlace {
  /** Path below `.dynamicfs`. */
  readonly name: string;
  /** Where in the donor the piece lies. */
  readonly startBytes: number;
  /** ext4, XFS: where on the device, which tells after a crash whose blocks a file has. */
  readonly runs: readonly ByteRun[];
}

// ---- finish-moves

export interface FinishMovesTask extends MoveMount {
  readonly moves: readonly MoveToFinish[];
  readonly verify: boolean;
  readonly control: MoveControl | null;
}

export interface MoveToFinish {
  readonly intent: MoveIntent;
  readonly plan: MovePlan;
}

/**
 * - verified: read back from the disk, the same as before the move
 * - unverified-changed: somebody wrote to the file meanwhile, so nothing can be compared; the move
 *   itself is atomic in the kernel
 * - not-asked: --no-verify
 */
export type Verification = 'verified' | 'unverified-changed' | 'not-asked';

/**
 * `settled`: the donor is gone and the intent can be deleted. Else the intent must stay for
 * 'settle-intents'.
 */
export type FinishOutcome =
  | {
      readonly kind: 'moved';
      readonly settled: boolean;
      readonly verification: Verification;
      readonly movedBytes: number;
      /** Of the whole file. */
      readonly fragmentsBefore: number;
      readonly fragmentsAfter: number;
      /** Where the file goes on; null when it is done. Also set after a stop. */
      readonly resumeBytes: number | null;
    }
  /** Nothing was moved. */
  | { readonly kind: 'skipped'; readonly settled: boolean; readonly reason: SkipReason }
  | {
      readonly kind: 'failed';
      readonly settled: boolean;
      readonly error: WireError;
      /** Whether the file lies where it lay before. */
      readonly rolledBack: boolean;
    }
  /** Stopped before its first window; the donor is gone. */
  | { readonly kind: 'not-begun'; readonly settled: boolean };

// ---- name-files

export interface NameFilesTask extends MoveMount {
  readonly handles: readonly string[];
  /** As `ScanTask.control`: a stop ends the search. */
  readonly control: Int32Array<SharedArrayBuffer> | null;
}

// ---- settle-intents

export interface SettleIntentsTask extends MoveMount {
  /** All open intents of the pool. Its donors that none of them names are deleted too. */
  readonly intents: readonly MoveIntent[];
  /**
   * What the names of the pool's groups begin with: a file system may be two pools, mounted at two
   * places or known to two nodes, and the other's donors hold the other's data. All, when absent.
   */
  readonly groupPrefix?: string;
}

export interface SettleIntentsReply {
  /** One per intent, in order. */
  readonly outcomes: readonly SettleOutcome[];
  /** Donor files that were deleted. */
  readonly deletedDonorCount: number;
}

export type SettleOutcome =
  /** The content is as it was before the move, wherever it lies now. */
  | { readonly kind: 'intact' }
  /** The file was changed or deleted by its users since: theirs stands. */
  | { readonly kind: 'changed' | 'vanished' }
  /** The content was not as before and was restored from the old blocks. */
  | { readonly kind: 'restored' }
  /** The donor is kept, and so must the intent be. */
  | { readonly kind: 'failed'; readonly error: WireError };
