/**
 * DynamicFS's own store: replicated, checksummed extents on disks. The front of this folder; each
 * method is a file of its own.
 */

import { type DiskMap, drawDiskMap } from '../../domain/disk-map.js';
import { MaintenanceError } from '../../domain/errors.js';
import type { FragmentationAnalysis } from '../../domain/fragmentation.js';
import type { Tier } from '../../domain/heat.js';
import { isBlockDevice } from '../../kernel/block-device.js';
import type { DiskKind } from '../../store/disks.js';
import type { ExtentRow } from '../../store/extents.js';
import type { ObjectMetadata } from '../../store/objects.js';
import type { MaintainedPool } from '../maintained-pool.js';
import { addDevice } from './add-device.js';
import { analyzePool } from './analyze.js';
import { type AuditReport, accountDisks, auditPool } from './audit.js';
import { PoolContext } from './context.js';
import { type AddDiskOptions, addDisk, type CreatePoolOptions, createPool } from './create.js';
import type { DiskCondition } from './data-file.js';
import { type GetOptions, type GetReport, getObjects } from './get.js';
import type { OpenPoolOptions } from './open-options.js';
import { type PutOptions, type PutReport, putObjects } from './put.js';
import type { PutEntry } from './put-source.js';
import { type ReadOptions, readObject, readOneExtent } from './read-object.js';
import { objectNotFound, type RemoveReport, removeObjects } from './remove.js';
import { findDisk } from './remove-disk.js';
import { repairJournals } from './snapshot.js';

export interface DiskInfo {
  readonly uuid: string;
  readonly kind: DiskKind;
  readonly path: string;
  readonly tier: Tier;
  readonly condition: DiskCondition;
  readonly evacuating: boolean;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly pendingBytes: number;
  readonly reservedBytes: number;
  readonly problem: string | null;
}

export class ExtentPool implements MaintainedPool {
  readonly kind = 'extent';
  /** For the modules of this project; API users need the methods only. */
  readonly context: PoolContext;

  private constructor(context: PoolContext) {
    this.context = context;
  }

  /** @returns the new pool, open. @throws as `createPool`. */
  static create(path: string, options: CreatePoolOptions = {}): ExtentPool {
    createPool(path, options);
    return ExtentPool.open(path, options.clock ? { clock: options.clock } : {});
  }

  /**
   * Opens a pool. For writing it also takes back what dead writers had reserved and brings the
   * journals of disks that were away up to date.
   *
   * @throws MaintenanceError ERR_TARGET_NOT_FOUND, ERR_NOT_A_POOL, ERR_NEWER_VERSION, ERR_STORE.
   */
  static open(path: string, options: OpenPoolOptions = {}): ExtentPool {
    const context = new PoolContext(path, options);
    try {
      if (context.mode === 'write') repairJournals(context);
    } catch (cause) {
      context.closeFiles();
      throw cause;
    }
    return new ExtentPool(context);
  }

  get id(): string {
    return this.context.poolId;
  }

  get path(): string {
    return this.context.path;
  }

  /** @param path of a directory, which is made if need be, or of a block device. */
  addDisk(path: string, options: AddDiskOptions = {}): DiskInfo {
    const add = isBlockDevice(path) ? addDevice : addDisk;
    const diskId = add(this.context, path, options);
    const disk = this.context.store.disks.get(diskId);
    return this.disks().find((info) => info.uuid === disk?.uuid) as DiskInfo;
  }

  disks(): DiskInfo[] {
    const accounts = accountDisks(this.context);
    return this.context.store.disks.all().map((disk) => {
      const { condition, error, file } = this.context.diskState(disk);
      const account = accounts.find((one) => one.diskId === disk.diskId);
      return {
        uuid: disk.uuid,
        kind: disk.kind,
        path: file?.path && disk.kind === 'device' ? file.path : disk.path,
        tier: disk.tier,
        condition,
        evacuating: disk.evacuating,
        capacityBytes: disk.capacityBytes,
        usedBytes: account?.usedBytes ?? 0,
        freeBytes: account?.freeBytes ?? 0,
        pendingBytes: account?.pendingBytes ?? 0,
        reservedBytes: account?.reservedBytes ?? 0,
        problem: error?.message ?? null,
      };
    });
  }

  put(
    entries: AsyncIterable<PutEntry> | Iterable<PutEntry>,
    options: PutOptions = {},
  ): Promise<PutReport> {
    return putObjects(this.context, entries, options);
  }

  get(name: string, destination: string, options: GetOptions = {}): Promise<GetReport> {
    return getObjects(this.context, name, destination, options);
  }

  /** The content of one object, in order; a few extents are held at a time. */
  read(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    return readObject(this.context, name, options);
  }

  /** Deletes one object or several: all, or none where one of the names is refused. */
  remove(names: string | readonly string[], recursive = false): RemoveReport {
    return removeObjects(this.context, typeof names === 'string' ? [names] : names, recursive);
  }

  /** Objects named `prefix` or below it, by name. */
  list(prefix = ''): ObjectMetadata[] {
    return [...this.context.store.objects.under(prefix)].map(({ objectId: _, ...rest }) => rest);
  }

  /** @returns null when there is no such object. */
  metadata(name: string): ObjectMetadata | null {
    const object = this.context.store.objects.byName(name);
    if (!object) return null;
    const { objectId: _, ...metadata } = object;
    return metadata;
  }

  /** Extents of an object in order. @throws MaintenanceError ERR_TARGET_NOT_FOUND. */
  extents(name: string): ExtentRow[] {
    const object = this.context.store.objects.byName(name);
    if (!object) throw objectNotFound(this.context, name);
    return this.context.store.extents.ofObject(object.objectId);
  }

  /** @throws MaintenanceError ERR_TARGET_NOT_FOUND, ERR_CHECKSUM_MISMATCH when no replica is good. */
  async readExtent(extentId: number): Promise<Uint8Array> {
    const extent = this.context.store.extents.get(extentId);
    if (!extent) throw objectNotFound(this.context, `extent ${extentId}`);
    return await readOneExtent(this.context, extent);
  }

  /** Stores bytes as an object of their own. @returns its extents, one per `extentBytes`. */
  async writeExtent(
    name: string,
    data: Uint8Array,
    options: PutOptions = {},
  ): Promise<ExtentRow[]> {
    const content = (async function* () {
      yield data;
    })();
    const mtimeMs = this.context.clock();
    const entry: PutEntry = {
      name,
      kind: 'file',
      sizeBytes: data.length,
      mode: 0o644,
      mtimeMs,
      linkTarget: null,
      sourcePath: null,
      content,
    };
    await this.put([entry], options);
    return this.extents(name);
  }

  /** Deletes the object that consists of this extent alone. */
  deleteExtent(extentId: number): RemoveReport {
    const { objects, extents } = this.context.store;
    const extent = extents.get(extentId);
    const object = extent && objects.byId(extent.objectId);
    if (!object) throw objectNotFound(this.context, `extent ${extentId}`);
    if (object.extentCount > 1) {
      throw new MaintenanceError(
        'ERR_USAGE',
        `extent ${extentId} is one of ${object.extentCount} of object "${object.name}"`,
        { nextStep: 'Delete the object as a whole.' },
      );
    }
    return this.remove(object.name);
  }

  analyze(): FragmentationAnalysis {
    return analyzePool(this.context);
  }

  /** @param disk path or beginning of the UUID of a disk. */
  map(disk: string, cellCount: number): DiskMap {
    const row = findDisk(this.context, disk);
    const runs = this.context.store.fragmentation.mapRuns(row.diskId);
    return drawDiskMap(row.capacityBytes, cellCount, runs);
  }

  audit(): AuditReport {
    return auditPool(this.context);
  }

  close(): Promise<void> {
    return this.context.close();
  }
}
