/**
 * An open extent pool: its catalogue, its disks and who writes. The operations (put, get, rewrite,
 * trim, …) are functions over this, one file each.
 */

import { resolve } from 'node:path';
import type { ReplicaLocation } from '../../domain/tasks.js';
import type { ByteRun } from '../../domain/units.js';
import { notAnswering } from '../../kernel/bounded-io.js';
import { leaveBehind } from '../../kernel/end-process.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import type { DiskRow } from '../../store/disks.js';
import type { Replica } from '../../store/extents.js';
import type { PoolStore } from '../../store/pool-store.js';
import type { PoolSettings } from '../../store/settings.js';
import { WorkerPool } from '../worker-pool.js';
import { Allocator } from './allocator.js';
import { type OpenMode, openCatalogue } from './catalogue.js';
import {
  closeDisk,
  type DiskState,
  isStillAtItsPath,
  openDisk,
  writableFile,
} from './data-file.js';
import { openDevice } from './device-disk.js';
import { DiskCalls, silentDisk } from './disk-calls.js';
import { JournalWriter } from './disk-journal.js';
import type { JournalRecord } from './journal-frames.js';
import type { OpenPoolOptions } from './open-options.js';
import { ReadMemory } from './read-memory.js';
import { SpareMemory } from './stream-memory.js';
import type { Superblock } from './superblock.js';
import { deadOwners, WriterLock } from './writer-lock.js';

export type { OpenPoolOptions };

export class PoolContext {
  readonly path: string;
  readonly mode: OpenMode;
  readonly store: PoolStore;
  readonly poolId: string;
  readonly extentBytes: number;
  readonly allocator: Allocator;
  readonly journal: JournalWriter;
  readonly readMemory: ReadMemory;
  readonly streamMemory = new SpareMemory();
  readonly clock: () => number;
  /** Fencing epoch while an agent works on the pool; null for other processes. */
  ownerEpoch: number | null = null;
  readonly #threadCount: number | undefined;
  readonly #diskCalls: DiskCalls;
  readonly #disks = new Map<number, DiskState & { readonly uuid: string }>();
  readonly #former = new Map<number, DiskState>();
  readonly #returned = new Set<number>();
  #writer: WriterLock | null = null;
  #workers: WorkerPool | null;

  constructor(poolPath: string, options: OpenPoolOptions = {}) {
    this.path = resolve(poolPath);
    this.mode = options.mode ?? 'write';
    this.clock = options.clock ?? Date.now;
    this.#threadCount = options.threadCount;
    this.#workers = options.workers ?? null;
    this.#diskCalls = new DiskCalls(this.path, options.diskTimeoutMs ?? null);
    this.store = openCatalogue(this.path, this.mode, this.clock);
    const settings = this.settings();
    this.poolId = settings.poolId;
    this.extentBytes = settings.extentBytes;
    this.allocator = new Allocator(this.store.space);
    this.journal = new JournalWriter(this.store);
    this.readMemory = new ReadMemory(this.extentBytes);
    try {
      if (this.mode === 'write') this.returnOrphans();
    } catch (cause) {
      this.store.close();
      throw cause;
    }
  }

  settings(): PoolSettings {
    return this.store.settings.read();
  }

  get writer(): WriterLock {
    this.#writer ??= new WriterLock(this.path);
    return this.#writer;
  }

  get workers(): WorkerPool {
    this.#workers ??= new WorkerPool(this.#threadCount);
    return this.#workers;
  }

  /** How the disk is found; opened at the first question. */
  diskState(disk: DiskRow): DiskState {
    const silence = this.#silence(disk);
    if (silence !== null) return silentDisk(disk, silence);
    const known = this.#disks.get(disk.diskId);
    if (known?.uuid === disk.uuid) return known;
    // The id of a disk that was removed may be given to another one.
    this.reopenDisk(disk.diskId);
    if (!this.#diskCalls.answers(disk)) return silentDisk(disk);
    const writable = this.mode === 'write';
    const { poolId, path } = this;
    const pool = { poolId, path, io: this.#diskCalls.of(disk) };
    const open = disk.kind === 'device' ? openDevice : openDisk;
    const found = open(disk, pool, writable);
    const state = { ...found, uuid: disk.uuid };
    this.#disks.set(disk.diskId, state);
    this.#closeFormer(disk.diskId);
    return state;
  }

  /**
   * Why a disk is not used of which a call does not come back. Once it has, the disk is looked at anew,
   * and its journal too, since nobody knows how much of the last frame it has.
   */
  #silence(disk: DiskRow): string | null {
    const { diskId } = disk;
    const { silence, isBack } = this.#diskCalls.look(disk, () => this.store.health.get(diskId));
    if (isBack) {
      this.reopenDisk(diskId);
      this.#returned.add(diskId);
    }
    return silence;
  }

  /** Disks that answer again since the last question. */
  takeReturned(): number[] {
    const returned = [...this.#returned];
    this.#returned.clear();
    return returned;
  }

  /**
   * Asks disks for something, all or those of these files, and waits for none: `diskState` tells which
   * does not answer. Tasks on one that does not are given up.
   */
  probeDisks(paths: ReadonlySet<string> | null = null): void {
    for (const [diskId, { file }] of this.#disks) {
      if (!file || paths?.has(file.path) === false) continue;
      if (this.#diskCalls.probe(diskId, file)) continue;
      this.#workers?.giveUp(file.path, notAnswering(file.path));
    }
  }

  /** Files that threads of this process wait for in vain; first those that do not answer. */
  stuckPaths(): string[] {
    const hanging = [...this.#disks].flatMap(([diskId, { file }]) =>
      file && this.#diskCalls.isHanging(diskId) ? [file.path] : [],
    );
    return [...new Set([...hanging, ...(this.#workers?.stuckPaths ?? [])])];
  }

  /** Notes what was just written to a disk; its file stays open for those who are using it. */
  rememberSuperblock(diskId: number, superblock: Superblock): void {
    const known = this.#disks.get(diskId);
    if (known) this.#disks.set(diskId, { ...known, superblock });
  }

  /** Forgets how a disk was found, so that the next question looks again. */
  reopenDisk(diskId: number): void {
    const known = this.#disks.get(diskId);
    if (!known) return;
    this.#closeFormer(diskId);
    this.#disks.delete(diskId);
    // A device stays claimed until it is claimed anew: nobody shall slip in between.
    if (known.claim) this.#former.set(diskId, known);
    else closeDisk(known);
  }

  /** Lets go of a disk that is no member any more. */
  forgetDisk(diskId: number): void {
    this.reopenDisk(diskId);
    this.#closeFormer(diskId);
  }

  #closeFormer(diskId: number): void {
    const former = this.#former.get(diskId);
    if (former) closeDisk(former);
    this.#former.delete(diskId);
  }

  /**
   * Looks again at disks that were away, and at those whose path leads to another file by now: a
   * long-lived process must not write to a file that was moved or deleted.
   */
  refreshDisks(): void {
    for (const [diskId, { file }] of this.#disks) {
      if (!(file && isStillAtItsPath(file)) || this.#disks.get(diskId)?.condition !== 'online')
        this.reopenDisk(diskId);
    }
  }

  /** @throws MaintenanceError ERR_DISK_UNAVAILABLE or ERR_DISK_MISMATCH when it cannot be written. */
  writableFile(disk: DiskRow): OpenFile {
    return writableFile(disk, this.diskState(disk));
  }

  /** Whether a disk can be read: looked at anew, since it may just have gone. */
  isThere(diskId: number): boolean {
    const disk = this.store.disks.get(diskId);
    if (!disk) return false;
    this.reopenDisk(diskId);
    return this.diskState(disk).file !== null;
  }

  /**
   * Replicas of an extent on disks that can be read now, best first: not known to be bad, on a disk
   * that is fit, then the fewest fragments.
   */
  readableReplicas(extentId: number): ReplicaLocation[] {
    const bad = this.store.repairs.badDisksOf(extentId);
    for (const diskId of this.store.health.unfit()) bad.add(diskId);
    return this.store.extents
      .replicas(extentId)
      .flatMap((replica) => this.locate(replica) ?? [])
      .sort(
        (a, b) =>
          Number(bad.has(a.diskId)) - Number(bad.has(b.diskId)) || a.runs.length - b.runs.length,
      );
  }

  /** Replicas that can be read now, are not known to be bad, and lie on disks that are fit. */
  goodReplicaCount(extentId: number): number {
    const bad = this.store.repairs.badDisksOf(extentId);
    for (const diskId of this.store.health.unfit()) bad.add(diskId);
    const replicas = this.store.extents.replicas(extentId);
    return replicas.filter((one) => !bad.has(one.diskId) && this.locate(one)).length;
  }

  /** @returns null when the disk is away. */
  locate(replica: Replica): ReplicaLocation | null {
    const disk = this.store.disks.get(replica.diskId);
    const file = disk && this.diskState(disk).file;
    return file ? { ...replica, path: file.path } : null;
  }

  /** Lets go of runs that no extent uses any more. Safe while: in a transaction. */
  release(diskId: number, runs: readonly ByteRun[]): void {
    for (const run of runs) this.store.space.add(diskId, run, 'pending');
  }

  /**
   * Writes records to the journal of one disk; one that is away, or has failed, gets a new journal
   * when it is back. Safe while: in the transaction that the records describe.
   */
  journalTo(disk: DiskRow, records: readonly JournalRecord[]): void {
    const { file, condition } = this.diskState(disk);
    const { diskId } = disk;
    const isFit = !this.store.health.unfit().has(diskId) && !this.#returned.has(diskId);
    if (file && condition === 'online' && isFit && !disk.journalStale) {
      this.journal.append(diskId, file, records);
    } else {
      this.store.disks.markJournalStale(diskId);
    }
  }

  /** What dead processes had reserved, or were discarding, is pending again. */
  returnOrphans(): number {
    const owners = this.store.space.reservationOwners();
    const orphans = owners.length === 0 ? [] : deadOwners(this.path, owners);
    if (orphans.length === 0) return 0;
    this.store.transaction(() => {
      for (const owner of orphans) this.releaseReservations(owner);
    });
    return orphans.length;
  }

  /** Safe while: in a transaction. */
  releaseReservations(owner: string): void {
    for (const run of this.store.space.takeReserved(owner)) this.release(run.diskId, [run]);
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY when another agent took over since. */
  assertOwner(): void {
    if (this.ownerEpoch !== null) this.store.owner.assertCurrent(this.ownerEpoch);
  }

  async close(): Promise<void> {
    await this.#workers?.close();
    this.closeFiles();
  }

  /** All that `close` does for a pool that has started no task. */
  closeFiles(): void {
    this.#diskCalls.close();
    const stuck = this.stuckPaths();
    leaveBehind(stuck);
    // Who may still write late keeps what it has reserved and claimed, until its process is gone.
    if (stuck.length === 0) this.#writer?.release();
    for (const state of [...this.#disks.values(), ...this.#former.values()]) {
      if (!stuck.includes(state.file?.path ?? '')) closeDisk(state);
    }
    this.#disks.clear();
    this.#former.clear();
    this.store.close();
  }
}
