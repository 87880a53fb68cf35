/**
 * Piscina task: read replicas of one disk past the page cache, and say which have their checksum.
 *
 * What lies side by side is read together. A read that fails is done again replica by replica, so
 * that one bad sector does not condemn its neighbours.
 */

import { WRONG_CHECKSUM } from '../src/domain/repairs.js';
import { planSweeps, type Sweep } from '../src/domain/scrub.js';
import type { VerifyOutcome, VerifyReplica, VerifyTask } from '../src/domain/tasks.js';
import { totalBytes } from '../src/domain/units.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { hasChecksum } from './checksum.js';
import { Pace } from './move-pace.js';
import { DiskFiles, extentBuffer, readingAhead, readRuns } from './replica-io.js';
import { settle } from './settle.js';
import { beginRead, finishRead } from './verified-read.js';

export default (task: VerifyTask) => settle(() => verifyReplicas(task));

/** @returns one outcome per replica, in order. */
export async function verifyReplicas({ replicas, stopFlag }: VerifyTask): Promise<VerifyOutcome[]> {
  using disks = new DiskFiles();
  const pace = new Pace(stopFlag);
  const outcomes = replicas.map((): VerifyOutcome => ({ kind: 'not-begun' }));
  await readingAhead(
    planSweeps(replicas.map(({ replica }) => replica)),
    async (sweep, slot) => {
      if (pace.isStopped) return { kind: 'stopped' as const };
      return await readSweep(replicas, sweep, slot, disks);
    },
    async (sweep, found) => {
      if (found.kind === 'stopped') return;
      for (const { index, offsetBytes } of sweep.members) {
        const one = replicas[index];
        if (!one) continue;
        outcomes[index] =
          found.kind === 'read'
            ? verdict(one, found.whole, offsetBytes)
            : await verifyAlone(one, disks);
      }
      pace.breathe();
    },
  );
  return outcomes;
}

type SweepRead = { readonly kind: 'read'; readonly whole: Buffer } | { readonly kind: 'failed' };

async function readSweep(
  replicas: readonly VerifyReplica[],
  { runs, members }: Sweep,
  slot: number,
  disks: DiskFiles,
): Promise<SweepRead> {
  const first = replicas[members[0]?.index ?? 0]?.replica;
  if (!first) return { kind: 'failed' };
  try {
    const whole = extentBuffer(totalBytes(runs), slot);
    await readRuns(openSource(first.path, runs, disks), { ...first, runs }, whole);
    return { kind: 'read', whole };
  } catch {
    // Which of them it was is found out one by one.
    return { kind: 'failed' };
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

/** In the third buffer: the next sweep is being read into one of the others. */
async function verifyAlone(one: VerifyReplica, disks: DiskFiles): Promise<VerifyOutcome> {
  const { replica, sizeBytes, checksum } = one;
  const extent = { sizeBytes, checksum, replicas: [replica] };
  const open = () => openSource(replica.path, replica.runs, disks);
  const { whole, badReplicas } = await finishRead(extent, await beginRead(extent, 2, open), open);
  if (whole !== null) return { kind: 'good' };
  return { kind: 'bad', reason: badReplicas[0]?.reason ?? WRONG_CHECKSUM };
}

/** What the cache holds proves nothing about the disk. */
function openSource(path: string, runs: Sweep['runs'], disks: DiskFiles): OpenFile {
  const { file, direct } = disks.open(path, 'read', true);
  if (!direct) for (const run of runs) dropPageCache(file, run);
  return file;
}
