/**
 * Piscina task: read replicas or files past the page cache and say how long each took.
 *
 * Round by round over all of them, not one several times in a row: a disk's own cache would answer.
 * Nothing is changed, not even a time of access. What cannot be read is left out.
 */

import { closeSync, constants, fstatSync, readSync } from 'node:fs';
import { MOVE_STOP } from '../src/domain/move-tasks.js';
import {
  fastestReads,
  SAMPLE_FILE_BYTES,
  type TimedRound,
  type TimedSource,
  type TimeReadsReply,
  type TimeReadsTask,
} from '../src/domain/timed-reads.js';
import { type ByteRun, MIB, totalBytes } from '../src/domain/units.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError, KernelCallError } from '../src/kernel/kernel-error.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { type MountedDirectory, openMount } from './mounted-directory.js';
import { DiskFiles, extentBuffer, readRuns } from './replica-io.js';
import { settle } from './settle.js';

const PIECE_BYTES = MIB;
/** Both samples read into huge pages: a run's buffers are, those of a new thread were not. */
const BUFFER_BYTES_MIN = 4 * MIB;

export default (task: TimeReadsTask) => settle(() => timeReads(task));

/** @throws MaintenanceError ERR_TARGET_NOT_FOUND when the mount is not there any more. */
function timeReads(task: TimeReadsTask): TimeReadsReply {
  using disks = new DiskFiles();
  using mount = task.mount && openMount(task.mount.mountPath, task.mount.mountId);
  warmUp(task, disks);
  // Who stops the reads waits for no longer than one pause.
  const pause = (ms: number) => Atomics.wait(task.stopFlag, MOVE_STOP, 0, ms);
  const clock = { nowMs: () => performance.now(), pause };
  return readInRounds(task, (source) => timeOne(source, disks, mount), clock);
}

export interface RoundClock {
  nowMs(): number;
  pause(ms: number): void;
}

/**
 * Only whole rounds count, or the first: else what comes first had more chances to be fast.
 *
 * @param read answers null for what cannot be read.
 */
export function readInRounds(
  task: Omit<TimeReadsTask, 'mount'>,
  read: (source: TimedSource) => TimedRound | null,
  clock: RoundClock,
): TimeReadsReply {
  const endAtMs = clock.nowMs() + task.durationMsMax;
  const rounds: TimedRound[][] = [];
  while (rounds.length < task.roundCount) {
    const nextAtMs = Math.min(clock.nowMs() + task.roundEveryMs, endAtMs);
    const reads: TimedRound[] = [];
    for (const source of task.sources) {
      if (Atomics.load(task.stopFlag, MOVE_STOP) === 1) return { reads: [], stopped: true };
      if (clock.nowMs() >= endAtMs) {
        return { reads: fastestReads(rounds.length > 0 ? rounds : [reads]), stopped: false };
      }
      const one = read(source);
      if (one) reads.push(one);
    }
    rounds.push(reads);
    const pauseMs = nextAtMs - clock.nowMs();
    if (pauseMs > 0 && rounds.length < task.roundCount) clock.pause(pauseMs);
  }
  return { reads: fastestReads(rounds), stopped: false };
}

/** Whatever is slow but once: opening the disks, and the first touch of the buffer. */
function warmUp({ sources }: TimeReadsTask, disks: DiskFiles): void {
  let bytesMax = 0;
  for (const source of sources) {
    if (source.kind !== 'replica') continue;
    bytesMax = Math.max(bytesMax, totalBytes(source.replica.runs));
    try {
      disks.open(source.replica.path, 'read', true);
    } catch (cause) {
      // Left out, as what cannot be read is.
      if (!(cause instanceof KernelCallError)) throw cause;
    }
  }
  bufferFor(bytesMax).fill(0);
}

function bufferFor(bytes: number): Buffer {
  return extentBuffer(Math.max(bytes, BUFFER_BYTES_MIN));
}

/** @returns null for what cannot be read. */
function timeOne(
  source: TimedSource,
  disks: DiskFiles,
  mount: MountedDirectory | null,
): TimedRound | null {
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
): TimedRound {
  const { file, direct } = disks.open(replica.path, 'read', true);
  if (!direct) for (const run of replica.runs) dropPageCache(file, run);
  const bytes = totalBytes(replica.runs);
  const buffer = bufferFor(bytes).subarray(0, bytes);
  const beganAtMs = performance.now();
  readRuns(file, replica, buffer);
  return { key, bytes, ms: performance.now() - beganAtMs, mark: '' };
}

function timeFile(handle: string, mount: OpenFile): TimedRound {
  const { file, direct } = openCold(mount, handle);
  try {
    const { size, mtimeNs } = fstatSync(file.fd, { bigint: true });
    const pieces = piecesOf(Number(size));
    if (!direct) for (const piece of pieces) dropPageCache(file, piece);
    const buffer = bufferFor(PIECE_BYTES).subarray(0, PIECE_BYTES);
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
