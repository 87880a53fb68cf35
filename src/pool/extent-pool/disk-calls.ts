/**
 * Disks that do not answer. The agent makes its calls with a limit (see src/kernel/bounded-io.ts), and
 * writes down which disk is silent; every other process believes it while that agent lives, and does not
 * ask the disk itself. Before the agent has noticed, or while none runs, a process asks before it opens a
 * disk (see src/kernel/probe-disk.ts), and again while its threads take long. Nobody uses a disk to which a
 * write may come late (see late-writes.ts).
 */

import { join } from 'node:path';
import { type DiskHealth, NO_ANSWER } from '../../domain/disk-health.js';
import { MaintenanceError } from '../../domain/errors.js';
import { BoundedIo, notAnswering } from '../../kernel/bounded-io.js';
import { type FileLock, isFileLocked } from '../../kernel/file-lock.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import { diskAnswers } from '../../kernel/probe-disk.js';
import type { DiskRow } from '../../store/disks.js';
import type { DiskState } from './data-file.js';
import { type LateWriter, lateWriterOf, noteLateWrite } from './late-writes.js';
import { BACKING_FILE } from './layout.js';

/** Held by the agent that works on the pool. */
export const AGENT_LOCK_FILE = 'agent.lock';

const TIMEOUT_S = 8;

/**
 * How long a disk is waited for. The main thread waits as long, perhaps in a transaction: less than the
 * lock of a job lasts, and than other processes wait for a transaction.
 */
export function diskTimeoutMs(): number {
  const seconds = Number(process.env.DYNAMICFS_DISK_TIMEOUT_S ?? TIMEOUT_S);
  return (seconds > 0 ? Math.min(seconds, TIMEOUT_S) : TIMEOUT_S) * 1_000;
}

/** A call of a command that takes longer makes it ask whether the disk answers. */
export const DOUBTS_AFTER_MS = 1_000;

/**
 * The calls of this process on each disk: of the agent with a limit; of others, whose disk has answered when
 * it was opened, as long as it answers still.
 */
export class DiskCalls {
  readonly #poolPath: string;
  readonly #timeoutMs: number;
  /** Whether every call has a limit, however well the disk answers. */
  readonly #isBounded: boolean;
  readonly #ofDisk = new Map<number, { readonly uuid: string; readonly io: BoundedIo }>();
  readonly #silent = new Set<number>();
  /** Of disks to which a write of this process may come late. */
  readonly #late = new Map<string, FileLock>();
  /** UUIDs of disks to which one may have come, as `look` has told. */
  readonly #told = new Set<string>();
  /** UUIDs of disks that did not answer when they were asked. */
  readonly #unanswering = new Set<string>();

  /** @param timeoutMs of the agent, how long a call may take; else null. */
  constructor(poolPath: string, timeoutMs: number | null) {
    this.#poolPath = poolPath;
    this.#timeoutMs = timeoutMs ?? diskTimeoutMs();
    this.#isBounded = timeoutMs !== null;
  }

  of({ diskId, uuid }: DiskRow): BoundedIo {
    const known = this.#ofDisk.get(diskId);
    // The id of a disk that was removed may be given to another one.
    if (known?.uuid === uuid) return known.io;
    const answers = ({ path }: OpenFile) => diskAnswers(path, this.#timeoutMs);
    const doubts = this.#isBounded ? null : { afterMs: DOUBTS_AFTER_MS, answers };
    const io: BoundedIo = new BoundedIo(this.#timeoutMs, doubts, () => this.#noteLate(uuid, io));
    this.#ofDisk.set(diskId, { uuid, io });
    return io;
  }

  #noteLate(uuid: string, io: BoundedIo): void {
    const lock = noteLateWrite(this.#poolPath, uuid);
    this.#late.set(uuid, lock);
    io.whenIdle(() => lock.release());
  }

  /**
   * Before a disk is opened: whether it answers. Once it did not, this process asks no more: it would wait
   * each time.
   */
  answers({ uuid, kind, path }: DiskRow): boolean {
    if (this.#isBounded) return true;
    const file = kind === 'device' ? path : join(path, BACKING_FILE);
    if (!diskAnswers(file, this.#timeoutMs)) this.#unanswering.add(uuid);
    return !this.#unanswering.has(uuid);
  }

  /** Asks it for a block without waiting. @returns false while an earlier call has not come back in time. */
  probe(diskId: number, file: OpenFile): boolean {
    const io = this.#ofDisk.get(diskId)?.io;
    if (io?.isAnswering) io.probe(file);
    return io?.isAnswering !== false;
  }

  /** Why a disk is not to be used, and whether it has just come back, so that nobody knows its journal. */
  look(disk: DiskRow, health: () => DiskHealth): { silence: string | null; isBack: boolean } {
    const { diskId, uuid } = disk;
    if (this.isHanging(diskId)) {
      this.#silent.add(diskId);
      return { silence: NO_ANSWER, isBack: false };
    }
    this.#late.get(uuid)?.release();
    const late = lateWriterOf(this.#poolPath, uuid);
    const silence = this.#silence(uuid, late, health);
    if (silence !== null) return { silence, isBack: false };
    const isBack = this.#silent.delete(diskId);
    const isLeft = late !== null;
    const isNews = isLeft && !this.#told.has(uuid);
    if (isLeft) this.#told.add(uuid);
    else this.#told.delete(uuid);
    return { silence, isBack: isBack || isNews };
  }

  #silence(uuid: string, late: LateWriter | null, health: () => DiskHealth): string | null {
    if (late && late.pid !== null) return `a process (pid ${late.pid}) still waits for it`;
    if (this.#isBounded) return null;
    const isSilent = this.#unanswering.has(uuid) || isSaidToBeSilent(this.#poolPath, health());
    return isSilent ? NO_ANSWER : null;
  }

  /** Whether a call of this process does not come back. */
  isHanging(diskId: number): boolean {
    return this.#ofDisk.get(diskId)?.io.isAnswering === false;
  }

  close(): void {
    for (const { io } of this.#ofDisk.values()) {
      // Somebody waits for a command, and nobody for what was asked by the way.
      io.close(this.#isBounded || io.isAnswering ? this.#timeoutMs : 0);
    }
  }
}

/** Whether the agent of a pool says so of a disk, and lives. */
function isSaidToBeSilent(poolPath: string, { state, reason }: DiskHealth): boolean {
  if (state === 'healthy' || reason !== NO_ANSWER) return false;
  return isFileLocked(join(poolPath, AGENT_LOCK_FILE));
}

/** @param silence why, as the health of a disk says it. */
export function silentDisk({ path }: DiskRow, silence = NO_ANSWER): DiskState {
  const error = silence === NO_ANSWER ? notAnswering(path) : leftBehindBy(path, silence);
  return { condition: 'missing', file: null, superblock: null, error, silence };
}

function leftBehindBy(path: string, silence: string): MaintenanceError {
  return new MaintenanceError('ERR_DISK_UNAVAILABLE', `${path} is not used: ${silence}`, {
    nextStep: 'Look into the kernel log (dmesg); it is used again once that process has ended.',
  });
}
