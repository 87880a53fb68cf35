/** Reads an extent from whichever of its replicas has the checksum that the catalogue knows. */

import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { BadReplica, ReplicaLocation } from '../src/domain/tasks.js';
import { totalBytes } from '../src/domain/units.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { hasChecksum } from './checksum.js';
import { extentBuffer, readRuns } from './replica-io.js';

export interface WantedExtent {
  readonly sizeBytes: number;
  readonly checksum: Uint8Array;
  /** Tried in this order until one verifies. */
  readonly replicas: readonly ReplicaLocation[];
}

/** The first replica as it was read, not verified yet. */
export interface FirstRead {
  readonly slot: number;
  readonly attempt: Attempt | null;
}

/** Whole blocks in the buffer of the slot, or why there are none. */
type Attempt =
  | { readonly whole: Buffer; readonly problem: null }
  | { readonly whole: null; readonly problem: string };

export interface GoodReplica {
  /** Whole blocks of the replica, behind the content whatever the disk has; null when none is good. */
  readonly whole: Buffer | null;
  readonly badReplicas: readonly BadReplica[];
}

/** @throws KernelCallError when the disk cannot be opened. */
export type OpenReplicaFile = (replica: ReplicaLocation, sizeBytes: number) => OpenFile;

/** Only reads, so that the thread is free to hash another extent meanwhile. */
export async function beginRead(
  extent: WantedExtent,
  slot: number,
  open: OpenReplicaFile,
): Promise<FirstRead> {
  const [first] = extent.replicas;
  return { slot, attempt: first ? await read(first, extent, slot, open) : null };
}

/** Verifies what `beginRead` brought, and goes on to the other replicas when it is no good. */
export async function finishRead(
  extent: WantedExtent,
  { slot, attempt }: FirstRead,
  open: OpenReplicaFile,
): Promise<GoodReplica> {
  const badReplicas: BadReplica[] = [];
  for (const [index, replica] of extent.replicas.entries()) {
    const tried = index === 0 && attempt ? attempt : await read(replica, extent, slot, open);
    const { whole } = tried;
    if (whole && hasChecksum(whole.subarray(0, extent.sizeBytes), extent.checksum)) {
      return { whole, badReplicas };
    }
    badReplicas.push({ diskId: replica.diskId, reason: tried.problem ?? 'wrong checksum' });
  }
  return { whole: null, badReplicas };
}

async function read(
  replica: ReplicaLocation,
  { sizeBytes }: WantedExtent,
  slot: number,
  open: OpenReplicaFile,
): Promise<Attempt> {
  try {
    const whole = extentBuffer(totalBytes(replica.runs), slot);
    await readRuns(open(replica, sizeBytes), replica, whole);
    return { whole, problem: null };
  } catch (cause) {
    if (cause instanceof MaintenanceError && cause.code === 'ERR_INVARIANT') throw cause;
    return { whole: null, problem: asMaintenanceError(cause).message };
  }
}
