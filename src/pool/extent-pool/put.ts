/**
 * Stores content as objects.
 *
 * Small objects travel in groups, large ones in chunks: reserve space, let the threads read, hash
 * and write, make the disks durable, commit. Two groups are under way at a time, so that the threads
 * work while the other group is flushed and committed. An object is visible whole or not at all.
 */

import { lstatSync } from 'node:fs';
import { asMaintenanceError, MaintenanceError, type WireError } from '../../domain/errors.js';
import type { Tier } from '../../domain/heat.js';
import type { StoredExtent, StoreExtent } from '../../domain/tasks.js';
import { MIB } from '../../domain/units.js';
import { crashPoint } from '../../kernel/crash-point.js';
import { syncDataAsync } from '../../kernel/file-io.js';
import type { Replica } from '../../store/extents.js';
import type { ObjectKind } from '../../store/objects.js';
import { commitObjects, type WrittenExtent, type WrittenObject } from './commit-object.js';
import type { PoolContext } from './context.js';
import { Lanes } from './lanes.js';
import { reserveSpace } from './reserve-space.js';

/** What to store, and under which name. */
export interface PutEntry {
  readonly name: string;
  readonly kind: ObjectKind;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly linkTarget: string | null;
  /** The file to read; null when `content` brings the bytes. */
  readonly sourcePath: string | null;
  /** Content of unknown length, for example standard input. */
  readonly content: AsyncIterable<Uint8Array> | null;
}

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
const TASK_BYTES = 8 * MIB;
const TASK_EXTENTS = 128;
const GROUPS_UNDER_WAY = 2;

interface ExtentSource {
  readonly source: StoreExtent['source'];
  readonly data: Uint8Array | null;
  readonly sizeBytes: number;
}

/**
 * @throws MaintenanceError ERR_NO_SPACE, ERR_DISK_UNAVAILABLE, ERR_STORE, ERR_INTERRUPTED: what was
 *   committed before stays, and `details` says how much that is.
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

  /** After an error: waits for what is under way and gives its reservations back. */
  async abandon(): Promise<void> {
    await this.#lanes.drain().catch(() => {});
    this.#context.store.transaction(() => {
      for (const owner of this.#openOwners) this.#context.releaseReservations(owner);
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
    const sources = group.map((entry) => [...this.#extentsOf(entry)]);
    const flat = sources.flat();
    const { replicas, stored } = await this.#write(flat, owner);
    let at = 0;
    const objects: WrittenObject[] = [];
    for (const [index, entry] of group.entries()) {
      const count = sources[index]?.length ?? 0;
      const range = [at, at + count] as const;
      at += count;
      const parts = stored.slice(...range);
      const error = parts.find((part) => part.kind === 'source-failed')?.error ?? changed(entry);
      if (error) {
        this.#failed.push({ name: entry.name, error });
        continue;
      }
      const extents = this.#written(flat.slice(...range), parts, replicas.slice(...range));
      objects.push(this.#object(entry, entry.sizeBytes, extents, owner));
    }
    this.#commit(objects, owner);
  }

  /** Chunk by chunk, visible at the end; the space of a failed object goes back at once. */
  async #storeLarge(entry: PutEntry): Promise<void> {
    const owner = this.#newOwner();
    const extents: WrittenExtent[] = [];
    let sizeBytes = 0;
    for await (const chunk of this.#chunksOf(entry)) {
      if (this.#options.signal?.aborted)
        throw new MaintenanceError('ERR_INTERRUPTED', 'interrupted');
      const { replicas, stored } = await this.#write(chunk, owner);
      const failure = stored.find((part) => part.kind === 'source-failed');
      if (failure) {
        this.#fail(entry, failure.error, owner);
        return;
      }
      const written = this.#written(chunk, stored, replicas);
      extents.push(...written);
      const chunkBytes = written.reduce((sum, extent) => sum + extent.sizeBytes, 0);
      sizeBytes += chunkBytes;
      this.#storedBytes += chunkBytes;
      this.#options.onProgress?.(this.#storedBytes, this.#storedCount);
    }
    this.#storedBytes -= sizeBytes;
    const error = changed(entry);
    if (error) this.#fail(entry, error, owner);
    else this.#commit([this.#object(entry, sizeBytes, extents, owner)], owner);
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

  /** Reserves, writes and makes durable; returns where everything lies. */
  async #write(
    sources: readonly ExtentSource[],
    owner: string,
  ): Promise<{ replicas: Replica[][]; stored: StoredExtent[] }> {
    const context = this.#context;
    if (sources.length === 0) return { replicas: [], stored: [] };
    const replicas = reserveSpace(context, {
      sizesBytes: sources.map((source) => source.sizeBytes),
      owner,
      replicaCount: this.#replicaCount,
      tier: this.#tier,
    });
    crashPoint('put-reserved');
    const extents = sources.map((source, index) => ({
      ...source,
      targets: (replicas[index] ?? []).flatMap((replica) => context.locate(replica) ?? []),
    }));
    const results = await Promise.all(
      tasks(extents).map((task) => context.workers.run('store-extents', { extents: task })),
    );
    const diskIds = new Set(replicas.flat().map((replica) => replica.diskId));
    const disks = context.store.disks.all().filter((disk) => diskIds.has(disk.diskId));
    await Promise.all(disks.map((disk) => syncDataAsync(context.writableFile(disk))));
    crashPoint('put-written');
    return { replicas, stored: results.flat() };
  }

  #written(
    sources: readonly ExtentSource[],
    stored: readonly StoredExtent[],
    replicas: readonly Replica[][],
  ): WrittenExtent[] {
    return stored.flatMap((part, index) =>
      part.kind === 'stored'
        ? {
            sizeBytes: sources[index]?.sizeBytes ?? 0,
            checksum: Buffer.from(part.checksum),
            tier: this.#tier,
            replicas: replicas[index] ?? [],
          }
        : [],
    );
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

  *#extentsOf(entry: PutEntry): Generator<ExtentSource> {
    if (entry.kind !== 'file' || entry.sourcePath === null) return;
    const { extentBytes } = this.#context;
    for (let offsetBytes = 0; offsetBytes < entry.sizeBytes; offsetBytes += extentBytes) {
      const sizeBytes = Math.min(extentBytes, entry.sizeBytes - offsetBytes);
      yield { source: { path: entry.sourcePath, offsetBytes }, data: null, sizeBytes };
    }
  }

  async *#chunksOf(entry: PutEntry): AsyncGenerator<ExtentSource[]> {
    const extentsPerChunk = Math.max(1, Math.floor(GROUP_BYTES / this.#context.extentBytes));
    let chunk: ExtentSource[] = [];
    const extents = entry.content
      ? cutStream(entry.content, this.#context.extentBytes)
      : this.#extentsOf(entry);
    for await (const extent of extents) {
      if (chunk.push(extent) < extentsPerChunk) continue;
      yield chunk;
      chunk = [];
    }
    if (chunk.length > 0) yield chunk;
  }
}

/** A copy of a file that was written to meanwhile is a mix of two contents: never keep one. */
function changed(entry: PutEntry): WireError | null {
  if (entry.kind !== 'file' || entry.sourcePath === null) return null;
  const now = lstatSync(entry.sourcePath, { throwIfNoEntry: false });
  if (now?.size === entry.sizeBytes && now.mtimeMs === entry.mtimeMs) return null;
  return new MaintenanceError('ERR_MAP_CHANGED', `${entry.sourcePath} changed while it was read`, {
    nextStep: 'Store it again when nobody writes to it.',
  }).toWire();
}

/** Shares extents out so that no task is much larger than another. */
function tasks(extents: readonly StoreExtent[]): StoreExtent[][] {
  const all: StoreExtent[][] = [];
  let task: StoreExtent[] = [];
  let taskBytes = 0;
  for (const extent of extents) {
    task.push(extent);
    taskBytes += extent.sizeBytes;
    if (taskBytes < TASK_BYTES && task.length < TASK_EXTENTS) continue;
    all.push(task);
    task = [];
    taskBytes = 0;
  }
  if (task.length > 0) all.push(task);
  return all;
}

async function* cutStream(
  content: AsyncIterable<Uint8Array>,
  extentBytes: number,
): AsyncGenerator<ExtentSource> {
  let data = new Uint8Array(extentBytes);
  let filledBytes = 0;
  for await (const piece of content) {
    for (let from = 0; from < piece.length; ) {
      const takenBytes = Math.min(piece.length - from, extentBytes - filledBytes);
      data.set(piece.subarray(from, from + takenBytes), filledBytes);
      filledBytes += takenBytes;
      from += takenBytes;
      if (filledBytes < extentBytes) continue;
      yield { source: null, data, sizeBytes: extentBytes };
      data = new Uint8Array(extentBytes);
      filledBytes = 0;
    }
  }
  if (filledBytes > 0) {
    yield { source: null, data: data.slice(0, filledBytes), sizeBytes: filledBytes };
  }
}
