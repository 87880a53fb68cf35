/**
 * Piscina task: read replicas of one disk past the page cache, and say which have their checksum.
 *
 * What lies side by side is read together. A read that fails is done again replica by replica, so
 * that one bad sector does not condemn its neighbours.
 */

import { WRONG_CHECKSUM } from '../src/domain/repairs.js';
import { planSweeps, type Sweep, sweepsAhead } from '../src/domain/scrub.js';
import type { VerifyOutcome, VerifyReplica, VerifyTask } from '../src/domain/tasks.js';
import { totalBytes } from '../src/domain/units.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { hasChecksum } from './checksum.js';
import { Pace } from './move-pace.js';
import {
  type Begun,
  beginReadRuns,
  DiskFiles,
  extentBuffer,
  finishReadRuns,
  readingAhead,
} from './replica-io.js';
import { settle } from './settle.js';
import { beginRead, finishRead } from './verified-read.js';

/** Not of `readingAhead`: the next sweeps are being read into its. */
const OWN_SLOT = 3;

export default (task: VerifyTask) => settle(() => verifyReplicas(task));

/** @returns one outcome per replica, in order. */
export function verifyReplicas({ replicas, stopFlag }: VerifyTask): VerifyOutcome[] {
  using disks = new DiskFiles();
  const pace = new Pace(stopFlag);
  const outcomes = replicas.map((): VerifyOutcome => ({ kind: 'not-begun' }));
  const sweeps = planSweeps(replicas.map(({ replica }) => replica));
  const aheadMax = sweepsAhead(sweeps);
  readingAhead(
    sweeps,
    (sweep, slot) => (pace.isStopped ? STOPPED : beginSweep(replicas, sweep, slot, disks)),
    (sweep, begun) => {
      if (begun === STOPPED) return;
      const whole = begun.whole();
      for (const { index, offsetBytes } of sweep.members) {
        const one = replicas[index];
        if (!one) continue;
        outcomes[index] = whole ? verdict(one, whole, offsetBytes) : verifyAlone(one, disks);
      }
      pace.breathe();
    },
    aheadMax,
    // Others wait for whatever the disk was asked.
    () => (pace.givesWay ? 1 : aheadMax),
  );
  return outcomes;
}

interface SweepRead extends Begun {
  /** Null when it cannot be read: which of them it was is found out one by one. */
  whole(): Buffer | null;
}

const UNREADABLE: SweepRead = { whole: () => null, settle: () => {} };
const STOPPED: SweepRead = { ...UNREADABLE };

function beginSweep(
  replicas: readonly VerifyReplica[],
  { runs, members }: Sweep,
  slot: number,
  disks: DiskFiles,
): SweepRead {
  const first = replicas[members[0]?.index ?? 0]?.replica;
  if (!first) return UNREADABLE;
  try {
    const whole = extentBuffer(totalBytes(runs), slot);
    const file = openSource(first.path, runs, disks);
    const replica = { ...first, runs };
    const batch = beginReadRuns(file, replica, whole);
    const finish = () => {
      try {
        finishReadRuns(file, replica, batch);
        return whole;
      } catch {
        return null;
      }
    };
    return { whole: finish, settle: () => void batch.finish() };
  } catch {
    return UNREADABLE;
  }
}

function verdict(
  { sizeBytes, checksum }: VerifyReplica,
  whole: Buffer,
  offsetBytes: number,
): VerifyOutcome {
  const content = whole.subarray(offsetBytes, offsetBytes + sizeBytes);
  return hasChecksum(content, checksum)
    ? { kind: 'good' }
    : { kind: 'bad', reason: WRONG_CHECKSUM };
}

function verifyAlone(one: VerifyReplica, disks: DiskFiles): VerifyOutcome {
  const { replica, sizeBytes, checksum } = one;
  const extent = { sizeBytes, checksum, replicas: [replica] };
  const open = () => openSource(replica.path, replica.runs, disks);
  const { whole, badReplicas } = finishRead(extent, beginRead(extent, OWN_SLOT, open), open);
  if (whole !== null) return { kind: 'good' };
  return { kind: 'bad', reason: badReplicas[0]?.reason ?? WRONG_CHECKSUM };
}

/** What the cache holds proves nothing about the disk. */
function openSource(path: string, runs: Sweep['runs'], disks: DiskFiles): OpenFile {
  const { file, direct } = disks.open(path, 'read', true);
  if (!direct) for (const run of runs) dropPageCache(file, run);
  return file;
}
