/** Reads an extent from whichever of its replicas has the checksum that the catalogue knows. */

import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { BadReplica, ReplicaLocation } from '../src/domain/tasks.js';
import { totalBytes } from '../src/domain/units.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { hasChecksum } from './checksum.js';
import { type Begun, beginReadRuns, extentBuffer, finishReadRuns } from './replica-io.js';

export interface WantedExtent {
  readonly sizeBytes: number;
  readonly checksum: Uint8Array;
  /** Tried in this order until one verifies. */
  readonly replicas: readonly ReplicaLocation[];
}

/** The first replica while it is read; not verified yet. */
export interface FirstRead extends Begun {
  readonly slot: number;
  /** Waits for the disk. @returns null when there is no replica. */
  attempt(): Attempt | null;
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

/** Begins to read, so that the thread can hash another extent meanwhile. */
export function beginRead(extent: WantedExtent, slot: number, open: OpenReplicaFile): FirstRead {
  const [first] = extent.replicas;
  const finish = first ? begin(first, extent, slot, open) : () => null;
  let found: Attempt | null | undefined;
  const attempt = () => {
    found = found === undefined ? finish() : found;
    return found;
  };
  return { slot, attempt, settle: () => void attempt() };
}

/** Verifies what `beginRead` brought, and goes on to the other replicas when it is no good. */
export function finishRead(
  extent: WantedExtent,
  { slot, attempt }: FirstRead,
  open: OpenReplicaFile,
): GoodReplica {
  const first = attempt();
  const badReplicas: BadReplica[] = [];
  for (const [index, replica] of extent.replicas.entries()) {
    const tried = index === 0 && first ? first : begin(replica, extent, slot, open)();
    const { whole } = tried;
    if (whole && hasChecksum(whole.subarray(0, extent.sizeBytes), extent.checksum)) {
      return { whole, badReplicas };
    }
    badReplicas.push({ diskId: replica.diskId, reason: tried.problem ?? 'wrong checksum' });
  }
  return { whole: null, badReplicas };
}

/** @returns what waits for the disk. */
function begin(
  replica: ReplicaLocation,
  { sizeBytes }: WantedExtent,
  slot: number,
  open: OpenReplicaFile,
): () => Attempt {
  try {
    const whole = extentBuffer(totalBytes(replica.runs), slot);
    const file = open(replica, sizeBytes);
    const batch = beginReadRuns(file, replica, whole);
    return () => {
      try {
        finishReadRuns(file, replica, batch);
        return { whole, problem: null };
      } catch (cause) {
        return failed(cause);
      }
    };
  } catch (cause) {
    const attempt = failed(cause);
    return () => attempt;
  }
}

function failed(cause: unknown): Attempt {
  if (cause instanceof MaintenanceError && cause.code === 'ERR_INVARIANT') throw cause;
  return { whole: null, problem: asMaintenanceError(cause).message };
}
