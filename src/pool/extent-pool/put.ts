/**
 * Stores content as objects.
 *
 * Small objects travel in groups, large ones in chunks: reserve space, let the threads read, hash
 * and write, make the disks durable, commit. Two groups are under way at a time, so that the threads
 * work while the other group is flushed and committed; so are two chunks, of which the next is read
 * meanwhile. An object is visible whole or not at all.
 */

import { asMaintenanceError, MaintenanceError, type WireError } from '../../domain/errors.js';
import type { Tier } from '../../domain/heat.js';
import { MIB } from '../../domain/units.js';
import { commitObjects, type WrittenExtent, type WrittenObject } from './commit-object.js';
import type { PoolContext } from './context.js';
import { checkReplicaCount } from './create.js';
import { countDiskError } from './disk-errors.js';
import { checkObjectName } from './file-tree.js';
import { Lanes } from './lanes.js';
import {
  changedSource,
  chunksOf,
  type ExtentSource,
  extentsOf,
  type PutEntry,
} from './put-source.js';
import { flushReplicas, type Written, writeExtents, writtenExtents } from './put-write.js';
import type { StreamMemory } from './stream-memory.js';

export interface PutOptions {
  readonly replicaCount?: number;
  readonly tier?: Tier;
  readonly onProgress?: (storedBytes: number, storedCount: number) => void;
  /** Ends the put after the groups under way. */
  readonly signal?: AbortSignal;
}

export interface PutReport {
  readonly storedCount: number;
  readonly storedBytes: number;
  readonly failed: readonly { readonly name: string; readonly error: WireError }[];
}

const GROUP_BYTES = 32 * MIB;
const GROUP_EXTENTS = 2048;
const GROUPS_UNDER_WAY = 2;
const CHUNK_BYTES = 16 * MIB;
const CHUNKS_UNDER_WAY = 2;

/**
 * @throws MaintenanceError ERR_USAGE, ERR_NO_SPACE, ERR_DISK_UNAVAILABLE, ERR_STORE, ERR_INTERRUPTED:
 *   what was committed before stays, and `details` says how much that is.
 */
export async function putObjects(
  context: PoolContext,
  entries: AsyncIterable<PutEntry> | Iterable<PutEntry>,
  options: PutOptions = {},
): Promise<PutReport> {
  const put = new Put(context, options);
  try {
    for await (const entry of entries) {
      if (options.signal?.aborted) throw new MaintenanceError('ERR_INTERRUPTED', 'interrupted');
      await put.add(entry);
    }
    await put.finish();
  } catch (cause) {
    await put.abandon();
    countDiskError(context, cause);
    const error = asMaintenanceError(cause);
    const { storedCount, storedBytes } = put.report;
    throw new MaintenanceError(error.code, error.message, {
      ...(error.nextStep === null ? {} : { nextStep: error.nextStep }),
      details: { ...error.details, storedCount, storedBytes },
      cause,
    });
  }
  return put.report;
}

interface MemoryOfOne {
  readonly get: () => StreamMemory;
  readonly end: () => void;
}

class Put {
  readonly #context: PoolContext;
  readonly #options: PutOptions;
  readonly #replicaCount: number;
  readonly #tier: Tier;
  readonly #lanes = new Lanes(GROUPS_UNDER_WAY);
  readonly #failed: { name: string; error: WireError }[] = [];
  readonly #openOwners = new Set<string>();
  #group: PutEntry[] = [];
  #groupBytes = 0;
  #storedCount = 0;
  #storedBytes = 0;

  constructor(context: PoolContext, options: PutOptions) {
    this.#context = context;
    this.#options = options;
    this.#replicaCount = options.replicaCount ?? context.settings().replicaCount;
    this.#tier = options.tier ?? 'warm';
    checkReplicaCount(this.#replicaCount);
  }

  get report(): PutReport {
    const { length } = this.#failed;
    return {
      storedCount: this.#storedCount,
      storedBytes: this.#storedBytes,
      failed: this.#failed.slice(0, length),
    };
  }

  async add(entry: PutEntry): Promise<void> {
    checkObjectName(entry.name);
    if (entry.content || entry.sizeBytes > GROUP_BYTES) {
      await this.#lanes.start(() => this.#storeLarge(entry));
      return;
    }
    this.#group.push(entry);
    this.#groupBytes += entry.sizeBytes;
    if (this.#groupBytes >= GROUP_BYTES || this.#group.length >= GROUP_EXTENTS) {
      await this.#startGroup();
    }
  }

  async finish(): Promise<void> {
    await this.#startGroup();
    await this.#lanes.drain();
  }

  /**
   * After an error: waits for what is under way and gives its reservations back; once a disk that hangs
   * answers, where something may still be written to them, and else when this process is gone.
   */
  async abandon(): Promise<void> {
    await this.#lanes.drain().catch(() => {});
    this.#context.workers.whenNoneIsStuck(() => {
      this.#context.store.transaction(() => {
        for (const owner of this.#openOwners) this.#context.releaseReservations(owner);
      });
    });
  }

  async #startGroup(): Promise<void> {
    const group = this.#group;
    this.#group = [];
    this.#groupBytes = 0;
    if (group.length > 0) await this.#lanes.start(() => this.#storeGroup(group));
  }

  async #storeGroup(group: readonly PutEntry[]): Promise<void> {
    const owner = this.#newOwner();
    const sources = group.map((entry) => [...extentsOf(entry, this.#context.extentBytes)]);
    const flat = sources.flat();
    const { replicas, stored } = await this.#write(flat, owner);
    await flushReplicas(this.#context, replicas);
    let at = 0;
    const objects: WrittenObject[] = [];
    for (const [index, entry] of group.entries()) {
      const count = sources[index]?.length ?? 0;
      const range = [at, at + count] as const;
      at += count;
      const parts = stored.slice(...range);
      const error =
        parts.find((part) => part.kind === 'source-failed')?.error ?? changedSource(entry);
      if (error) {
        this.#failed.push({ name: entry.name, error });
        continue;
      }
      const written = {
        sources: flat.slice(...range),
        replicas: replicas.slice(...range),
        stored: parts,
      };
      const extents = writtenExtents(written, this.#tier);
      objects.push(this.#object(entry, entry.sizeBytes, extents, owner));
    }
    this.#commit(objects, owner);
  }

  /** Chunk by chunk, visible at the end; the space of a failed object goes back at once. */
  async #storeLarge(entry: PutEntry): Promise<void> {
    const owner = this.#newOwner();
    const lanes = new Lanes(CHUNKS_UNDER_WAY);
    const memory = this.#streamMemory();
    const chunks: Written[] = [];
    try {
      await this.#writeChunks(entry, { owner, lanes, memory }, chunks);
    } finally {
      // Nothing writes to what is reserved, or reads from memory, when an error goes on.
      await lanes.drain().catch(() => {});
      memory.end();
    }
    await lanes.drain();
    const stored = chunks.flatMap((chunk) => chunk.stored);
    const error =
      stored.find((part) => part.kind === 'source-failed')?.error ?? changedSource(entry);
    if (error) {
      this.#fail(entry, error, owner);
      return;
    }
    await flushReplicas(
      this.#context,
      chunks.flatMap((chunk) => chunk.replicas),
    );
    const extents = chunks.flatMap((chunk) => writtenExtents(chunk, this.#tier));
    const sizeBytes = extents.reduce((sum, extent) => sum + extent.sizeBytes, 0);
    this.#commit([this.#object(entry, sizeBytes, extents, owner)], owner);
  }

  /** Ends early when the source fails: what was written then is given back. */
  async #writeChunks(
    entry: PutEntry,
    { owner, lanes, memory }: { owner: string; lanes: Lanes; memory: MemoryOfOne },
    chunks: Written[],
  ): Promise<void> {
    const { extentBytes } = this.#context;
    const extentsPerChunk = this.#extentsPerChunk;
    let sizeBytes = 0;
    let sourceFailed = false;
    for await (const chunk of chunksOf(entry, extentBytes, extentsPerChunk, memory.get)) {
      if (this.#options.signal?.aborted)
        throw new MaintenanceError('ERR_INTERRUPTED', 'interrupted');
      if (sourceFailed) return;
      const index = chunks.length;
      const nothing: Written = { sources: [], replicas: [], stored: [] };
      chunks.push(nothing);
      await lanes.start(async () => {
        const written = await this.#write(chunk, owner);
        chunks[index] = written;
        for (const { data } of chunk) if (data) memory.get().giveBack(data);
        sourceFailed ||= written.stored.some((part) => part.kind === 'source-failed');
        sizeBytes += chunk.reduce((sum, extent) => sum + extent.sizeBytes, 0);
        this.#options.onProgress?.(this.#storedBytes + sizeBytes, this.#storedCount);
      });
    }
  }

  get #extentsPerChunk(): number {
    return Math.max(1, Math.floor(CHUNK_BYTES / this.#context.extentBytes));
  }

  /** Only what is a stream needs it. */
  #streamMemory(): MemoryOfOne {
    const { extentBytes, streamMemory } = this.#context;
    let memory: StreamMemory | null = null;
    const get = () => {
      memory ??= streamMemory.take(extentBytes, this.#extentsPerChunk * (CHUNKS_UNDER_WAY + 1));
      return memory;
    };
    return { get, end: () => memory && streamMemory.giveBack(memory) };
  }

  #fail(entry: PutEntry, error: WireError, owner: string): void {
    this.#failed.push({ name: entry.name, error });
    this.#context.store.transaction(() => this.#context.releaseReservations(owner));
    this.#openOwners.delete(owner);
  }

  #newOwner(): string {
    const owner = this.#context.writer.newOwner();
    this.#openOwners.add(owner);
    return owner;
  }

  async #write(sources: readonly ExtentSource[], owner: string): Promise<Written> {
    const where = { owner, replicaCount: this.#replicaCount, tier: this.#tier };
    return await writeExtents(this.#context, sources, where);
  }

  #object(
    entry: PutEntry,
    sizeBytes: number,
    extents: readonly WrittenExtent[],
    owner: string,
  ): WrittenObject {
    const { name, kind, mode, mtimeMs, linkTarget } = entry;
    return {
      metadata: { name, kind, sizeBytes, mode, mtimeMs, linkTarget },
      replicaCount: this.#replicaCount,
      extents,
      owners: [owner],
    };
  }

  #commit(objects: readonly WrittenObject[], owner: string): void {
    if (objects.length > 0) commitObjects(this.#context, objects);
    else this.#context.store.transaction(() => this.#context.releaseReservations(owner));
    this.#openOwners.delete(owner);
    this.#storedCount += objects.length;
    for (const object of objects) this.#storedBytes += object.metadata.sizeBytes;
    this.#options.onProgress?.(this.#storedBytes, this.#storedCount);
  }
}
