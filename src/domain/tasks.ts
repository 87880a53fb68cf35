/**
 * What the main thread hands to worker threads and what comes back: plain data.
 *
 * A worker returns its error (`TaskReply`) instead of throwing it, because a rejection loses its
 * code on the way through Piscina.
 */

import type { WireError } from './errors.js';
import type { MoveControl } from './move-tasks.js';
import type { PlacedWrite } from './replica-layout.js';
import type { ByteRun } from './units.js';

export type TaskReply<T> = { readonly ok: true; readonly value: T } | TaskFailure;
interface TaskFailure {
  readonly ok: false;
  readonly error: WireError;
}

/** One copy of an extent: runs in the order of its content, each whole blocks. */
export interface ReplicaLocation {
  readonly diskId: number;
  /** The backing file or block device. */
  readonly path: string;
  readonly runs: readonly ByteRun[];
}

// ---- store-extents

export interface StoreExtent {
  /** Read `sizeBytes` at `offsetBytes` of this file, unless `data` brings the bytes. */
  readonly source: { readonly path: string; readonly offsetBytes: number } | null;
  /** In shared memory, at a multiple of a page; zeros behind the content, up to whole blocks. */
  readonly data: Uint8Array | null;
  readonly sizeBytes: number;
  readonly targets: readonly ReplicaLocation[];
}

export interface StoreTask {
  readonly extents: readonly StoreExtent[];
}

/** Per extent: its BLAKE3 (32 bytes), or why its source could not be read. */
export type StoredExtent =
  | { readonly kind: 'stored'; readonly checksum: Uint8Array }
  | { readonly kind: 'source-failed'; readonly error: WireError };

// ---- read-extents

export interface ReadExtent {
  readonly extentId: number;
  readonly sizeBytes: number;
  readonly checksum: Uint8Array;
  readonly replicas: readonly ReplicaLocation[];
  readonly destination: ReadDestination;
}

/**
 * Where the verified bytes go: into a file, or to the front of memory that both threads see, which
 * begins at a page and has room for whole blocks. What lies there means nothing before the task has
 * ended well.
 */
export type ReadDestination =
  | { readonly kind: 'file'; readonly path: string; readonly offsetBytes: number }
  | { readonly kind: 'memory'; readonly memory: SharedArrayBuffer };

export interface ReadTask {
  readonly extents: readonly ReadExtent[];
}

export interface ReadOutcome {
  readonly extentId: number;
  /** Disks whose replica was unreadable or had a wrong checksum, with the reason. */
  readonly badReplicas: readonly BadReplica[];
  /** False when no replica was good. */
  readonly good: boolean;
}

// ---- rewrite-extents

export interface RewriteTask {
  readonly extents: readonly RewriteExtent[];
  /** A stop ends the task after the extent under way. */
  readonly stopFlag: MoveControl | null;
}

export interface RewriteExtent {
  readonly sizeBytes: number;
  readonly checksum: Uint8Array;
  /** Tried in this order until one verifies. */
  readonly sources: readonly ReplicaLocation[];
  /** The replica as it is to be, all of which is read back. */
  readonly target: ReplicaLocation;
  /** What of the target is not on the disk yet. */
  readonly writes: readonly PlacedWrite[];
}

export interface BadReplica {
  readonly diskId: number;
  readonly reason: string;
}

/** Verified: the target was read back from the disk and has the checksum. */
export type RewriteOutcome =
  | { readonly kind: 'verified'; readonly badReplicas: readonly BadReplica[] }
  | {
      readonly kind: 'failed';
      readonly error: WireError;
      readonly badReplicas: readonly BadReplica[];
    }
  | { readonly kind: 'not-begun' };

// ---- verify-replicas

export interface VerifyReplica {
  readonly extentId: number;
  readonly sizeBytes: number;
  readonly checksum: Uint8Array;
  readonly replica: ReplicaLocation;
}

export interface VerifyTask {
  /** All of one disk. */
  readonly replicas: readonly VerifyReplica[];
  /** Read before each read. */
  readonly stopFlag: MoveControl;
}

export type VerifyOutcome =
  | { readonly kind: 'good' | 'not-begun' }
  | { readonly kind: 'bad'; readonly reason: string };

// ---- discard-ranges

export interface DiscardTask {
  readonly path: string;
  readonly ranges: readonly ByteRun[];
  readonly secureErase: boolean;
  /** A rest may follow each range; what was begun is done whatever comes. */
  readonly control: MoveControl | null;
  /** For a raw device; null for a backing file, in which holes are punched. */
  readonly device: DeviceDiscardTask | null;
}

export interface DeviceDiscardTask {
  readonly grant: DiscardGrant;
  /** As sysfs names the device. */
  readonly name: string;
  /** Of one request, whole granules; 0 when the device cannot discard. */
  readonly stepBytesMax: number;
}

declare const granted: unique symbol;

/**
 * The right to discard on one block device. The symbol has no value, so that nobody makes one by
 * writing it down: only `grantDiscard` in src/kernel does, for a device that is held exclusively and
 * was verified. Plain data otherwise, since it crosses to a thread of the same process.
 */
export interface DiscardGrant {
  readonly [granted]: true;
  /** Open and exclusive until the task is done. */
  readonly fd: number;
  readonly path: string;
  readonly deviceNumber: number;
}

export type DiscardOutcome =
  | {
      readonly kind: 'discarded';
      /** Whether file system or device tell what they did; else the other two figures are 0. */
      readonly confirmable: boolean;
      /** Bytes of the range seen to be unallocated afterwards, or counted as discarded by a device. */
      readonly confirmedBytes: number;
      /** Bytes that were allocated before and are not any more; of a device, all that it confirmed. */
      readonly reclaimedBytes: number;
    }
  | { readonly kind: 'unsupported'; readonly error: WireError }
  | {
      readonly kind: 'failed';
      readonly error: WireError;
      /** Whether the discard was accepted, and the range is seen to be allocated still. */
      readonly isRefused: boolean;
    };
