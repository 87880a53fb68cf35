/**
 * Piscina task: read replicas or files past the page cache and say how long each took.
 *
 * Round by round over all of them, not one several times in a row: a disk's own cache would answer.
 * Nothing is changed, not even a time of access. What cannot be read is left out.
 */

import { closeSync, constants, fstatSync, readSync } from 'node:fs';
import { median } from '../src/domain/forecast.js';
import { MOVE_STOP } from '../src/domain/move-tasks.js';
import {
  SAMPLE_FILE_BYTES,
  type TimedRead,
  type TimedSource,
  type TimeReadsReply,
  type TimeReadsTask,
} from '../src/domain/payback.js';
import { type ByteRun, MIB, totalBytes } from '../src/domain/units.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError, KernelCallError } from '../src/kernel/kernel-error.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { type MountedDirectory, openMount } from './mounted-directory.js';
import { DiskFiles, extentBuffer, readRuns } from './replica-io.js';
import { settle } from './settle.js';

const PIECE_BYTES = MIB;

export default (task: TimeReadsTask) => settle(() => timeReads(task));

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when the mount is not there any more. */
export function timeReads(task: TimeReadsTask): TimeReadsReply {
  using disks = new DiskFiles();
  using mount = task.mount && openMount(task.mount.mountPath, task.mount.mountId);
  const endAtMs = performance.now() + task.durationMsMax;
  const isStopped = () => Atomics.load(task.stopFlag, MOVE_STOP) === 1;
  const rounds = new Map<string, TimedRead[]>();
  for (let round = 0; round < task.roundCount; round += 1) {
    for (const source of task.sources) {
      if (isStopped()) return { reads: [], stopped: true };
      if (performance.now() >= endAtMs) return { reads: medians(rounds), stopped: false };
      const read = timeOne(source, disks, mount);
      if (read) rounds.set(read.key, [...(rounds.get(read.key) ?? []), read]);
    }
  }
  return { reads: medians(rounds), stopped: false };
}

function medians(rounds: Map<string, TimedRead[]>): TimedRead[] {
  return [...rounds.values()].flatMap((reads) => {
    const last = reads.at(-1);
    return last ? [{ ...last, ms: median(reads.map(({ ms }) => ms)) }] : [];
  });
}

/** @returns null for what cannot be read. */
function timeOne(
  source: TimedSource,
  disks: DiskFiles,
  mount: MountedDirectory | null,
): TimedRead | null {
  try {
    if (source.kind === 'replica') return timeReplica(source, disks);
    return mount && timeFile(source.key, mount.file);
  } catch (cause) {
    if (cause instanceof KernelCallError) return null;
    throw cause;
  }
}

/** As the pool itself reads: several runs at a time. */
function timeReplica(
  { key, replica }: Extract<TimedSource, { kind: 'replica' }>,
  disks: DiskFiles,
): TimedRead {
  const { file, direct } = disks.open(replica.path, 'read', true);
  if (!direct) for (const run of replica.runs) dropPageCache(file, run);
  const bytes = totalBytes(replica.runs);
  const buffer = extentBuffer(bytes);
  const beganAtMs = performance.now();
  readRuns(file, replica, buffer);
  return { key, bytes, ms: performance.now() - beganAtMs, mark: '' };
}

function timeFile(handle: string, mount: OpenFile): TimedRead {
  const { file, direct } = openCold(mount, handle);
  try {
    const { size, mtimeNs } = fstatSync(file.fd, { bigint: true });
    const pieces = piecesOf(Number(size));
    if (!direct) for (const piece of pieces) dropPageCache(file, piece);
    const buffer = extentBuffer(PIECE_BYTES);
    let bytes = 0;
    const beganAtMs = performance.now();
    for (const { startBytes } of pieces) bytes += readOnce(file, buffer, startBytes);
    const ms = performance.now() - beganAtMs;
    return { key: handle, bytes, ms, mark: `${size} ${mtimeNs}` };
  } finally {
    closeSync(file.fd);
  }
}

/** One call: O_DIRECT would refuse to go on from the odd end of a file. */
function readOnce(file: OpenFile, buffer: Buffer, atBytes: number): number {
  try {
    return readSync(file.fd, buffer, 0, buffer.length, atBytes);
  } catch (cause) {
    throw fromNodeError('read', cause, file.path);
  }
}

/** Through the cache where the file system has no O_DIRECT. */
function openCold(mount: OpenFile, handle: string): { file: OpenFile; direct: boolean } {
  try {
    const access = constants.O_RDONLY | constants.O_DIRECT;
    return { file: openByHandle(mount, handle, access), direct: true };
  } catch (cause) {
    if (!(cause instanceof KernelCallError) || cause.details.errnoName !== 'EINVAL') throw cause;
    return { file: openByHandle(mount, handle, constants.O_RDONLY), direct: false };
  }
}

/** All of a small file; of a large one pieces that are spread over it, the same ones each time. */
function piecesOf(sizeBytes: number): ByteRun[] {
  const pieceCount = Math.ceil(sizeBytes / PIECE_BYTES);
  const count = Math.min(pieceCount, SAMPLE_FILE_BYTES / PIECE_BYTES);
  return Array.from({ length: count }, (_, n) => ({
    startBytes: Math.floor((n * pieceCount) / count) * PIECE_BYTES,
    lengthBytes: PIECE_BYTES,
  }));
}
