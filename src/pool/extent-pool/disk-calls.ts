/**
 * Disks that do not answer. The agent makes its calls with a limit (see src/kernel/bounded-io.ts), and
 * writes down which disk is silent; every other process believes it while that agent lives, and does not
 * ask the disk itself. Before the agent has noticed, or while none runs, a process asks before it opens a
 * disk (see src/kernel/probe-disk.ts), and again while its threads take long.
 */

import { join } from 'node:path';
import { type DiskHealth, NO_ANSWER } from '../../domain/disk-health.js';
import { BoundedIo, notAnswering } from '../../kernel/bounded-io.js';
import { tryLockFile } from '../../kernel/file-lock.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import { diskAnswers } from '../../kernel/probe-disk.js';
import type { DiskRow } from '../../store/disks.js';
import type { DiskState } from './data-file.js';
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
const DOUBTS_AFTER_MS = 1_000;

/**
 * The calls of this process on each disk: of the agent with a limit; of others, whose disk has answered when
 * it was opened, as long as it answers still.
 */
export class DiskCalls {
  readonly #poolPath: string;
  readonly #timeoutMs: number;
  /** Whether every call has a limit, however well the disk answers. */
  readonly #isBounded: boolean;
  readonly #ofDisk = new Map<number, BoundedIo>();
  readonly #silent = new Set<number>();
  /** UUIDs of disks that did not answer when they were asked. */
  readonly #unanswering = new Set<string>();

  /** @param timeoutMs of the agent, how long a call may take; else null. */
  constructor(poolPath: string, timeoutMs: number | null) {
    this.#poolPath = poolPath;
    this.#timeoutMs = timeoutMs ?? diskTimeoutMs();
    this.#isBounded = timeoutMs !== null;
  }

  of(diskId: number): BoundedIo {
    const known = this.#ofDisk.get(diskId);
    if (known) return known;
    const answers = ({ path }: OpenFile) => diskAnswers(path, this.#timeoutMs);
    const doubts = this.#isBounded ? null : { afterMs: DOUBTS_AFTER_MS, answers };
    const io = new BoundedIo(this.#timeoutMs, doubts);
    this.#ofDisk.set(diskId, io);
    return io;
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
    const io = this.of(diskId);
    if (io.isAnswering) io.probe(file);
    return io.isAnswering;
  }

  /** @returns `returned` once, when the call has come back that had made it silent. */
  look(disk: DiskRow, health: () => DiskHealth): 'answering' | 'silent' | 'returned' {
    const { diskId, uuid } = disk;
    if (this.isHanging(diskId)) {
      this.#silent.add(diskId);
      return 'silent';
    }
    if (!this.#isBounded) {
      const isSilent = this.#unanswering.has(uuid) || isSaidToBeSilent(this.#poolPath, health());
      if (isSilent) return 'silent';
    }
    return this.#silent.delete(diskId) ? 'returned' : 'answering';
  }

  /** Whether a call of this process does not come back. */
  isHanging(diskId: number): boolean {
    return this.#ofDisk.get(diskId)?.isAnswering === false;
  }

  close(): void {
    for (const io of this.#ofDisk.values()) {
      // Somebody waits for a command, and nobody for what was asked by the way.
      io.close(this.#isBounded || io.isAnswering ? this.#timeoutMs : 0);
    }
  }
}

/** Whether the agent of a pool says so of a disk, and lives. */
function isSaidToBeSilent(poolPath: string, { state, reason }: DiskHealth): boolean {
  if (state === 'healthy' || reason !== NO_ANSWER) return false;
  const lock = tryLockFile(join(poolPath, AGENT_LOCK_FILE));
  lock?.release();
  return lock === null;
}

export function silentDisk({ path }: DiskRow): DiskState {
  const error = notAnswering(path);
  return { condition: 'missing', file: null, superblock: null, error, isSilent: true };
}
