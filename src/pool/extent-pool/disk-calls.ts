/**
 * Disks that do not answer. The agent makes its calls with a limit (see src/kernel/bounded-io.ts), and
 * writes down which disk is silent; every other process believes it while that agent lives, and does not
 * ask the disk itself.
 */

import { join } from 'node:path';
import { type DiskHealth, NO_ANSWER } from '../../domain/disk-health.js';
import { BoundedIo, notAnswering } from '../../kernel/bounded-io.js';
import { tryLockFile } from '../../kernel/file-lock.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import type { DiskRow } from '../../store/disks.js';
import type { DiskState } from './data-file.js';

/** Held by the agent that works on the pool. */
export const AGENT_LOCK_FILE = 'agent.lock';

/** The calls of this process on each disk. */
export class DiskCalls {
  readonly #timeoutMs: number;
  readonly #ofDisk = new Map<number, BoundedIo>();
  readonly #silent = new Set<number>();

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  of(diskId: number): BoundedIo {
    const known = this.#ofDisk.get(diskId);
    if (known) return known;
    const io = new BoundedIo(this.#timeoutMs);
    this.#ofDisk.set(diskId, io);
    return io;
  }

  probe(diskId: number, file: OpenFile): void {
    const io = this.of(diskId);
    if (io.isAnswering) io.probe(file);
  }

  /** @returns `returned` once, when the call has come back that had made it silent. */
  look(diskId: number): 'answering' | 'silent' | 'returned' {
    if (this.#ofDisk.get(diskId)?.isAnswering === false) {
      this.#silent.add(diskId);
      return 'silent';
    }
    return this.#silent.delete(diskId) ? 'returned' : 'answering';
  }

  close(): void {
    for (const io of this.#ofDisk.values()) io.close();
  }
}

/** Whether the agent of a pool says so of a disk, and lives. */
export function isSaidToBeSilent(poolPath: string, { state, reason }: DiskHealth): boolean {
  if (state === 'healthy' || reason !== NO_ANSWER) return false;
  const lock = tryLockFile(join(poolPath, AGENT_LOCK_FILE));
  lock?.release();
  return lock === null;
}

export function silentDisk({ path }: DiskRow): DiskState {
  const error = notAnswering(path);
  return { condition: 'missing', file: null, superblock: null, error, isSilent: true };
}
