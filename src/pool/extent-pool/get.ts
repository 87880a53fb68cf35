/** Brings objects back as files, links and directories, or as a stream of bytes. */

import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { asMaintenanceError, MaintenanceError, type WireError } from '../../domain/errors.js';
import { MIB } from '../../domain/units.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import type { ExtentRow } from '../../store/extents.js';
import type { ObjectKind, ObjectRow } from '../../store/objects.js';
import { GivenUpError } from '../worker-pool.js';
import type { PoolContext } from './context.js';
import { Lanes } from './lanes.js';
import { type ReadRequest, readVerified, recordReads } from './read.js';
import { objectNotFound } from './remove.js';

export interface GetOptions {
  /** Replace files that exist. */
  readonly force?: boolean;
  readonly onProgress?: (readBytes: number, objectCount: number) => void;
  readonly signal?: AbortSignal;
}

export interface GetReport {
  readonly objectCount: number;
  readonly readBytes: number;
  readonly failed: readonly { readonly name: string; readonly error: WireError }[];
}

const GROUP_BYTES = 16 * MIB;
const GROUP_OBJECTS = 256;
const TASK_BYTES = 64 * MIB;
const GROUPS_UNDER_WAY = 4;

/**
 * Writes the object `name` to `destination`, or all objects below `name` into that directory.
 *
 * @throws MaintenanceError ERR_TARGET_NOT_FOUND; what fails for one object is in the report.
 */
export async function getObjects(
  context: PoolContext,
  name: string,
  destination: string,
  options: GetOptions = {},
): Promise<GetReport> {
  const objects = [...context.store.objects.under(name)];
  if (objects.length === 0) throw objectNotFound(context, name);
  const all = objects.map((object) => ({
    object,
    path: destinationOf(object.name, name, destination),
  }));
  const get = new Get(context, resolve(destination), options);
  const of = (kind: ObjectKind) => all.filter(({ object }) => object.kind === kind);
  for (const directory of of('directory')) get.makeDirectory(directory);
  await restoreInGroups(get, of('file'), options.signal);
  // After the files, which must not go where a link of the same pool leads.
  for (const link of of('symlink')) get.makeLink(link);
  // Last, since every file made in a directory changes its time; the innermost first.
  for (const { path, object } of of('directory').reverse()) get.setTimes(path, object);
  get.recordReads();
  if (options.signal?.aborted) throw new MaintenanceError('ERR_INTERRUPTED', 'interrupted');
  return get.report;
}

async function restoreInGroups(
  get: Get,
  files: readonly Restored[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const lanes = new Lanes(GROUPS_UNDER_WAY);
  let group: Restored[] = [];
  let groupBytes = 0;
  for (const file of files) {
    if (signal?.aborted) break;
    group.push(file);
    groupBytes += file.object.sizeBytes;
    if (groupBytes < GROUP_BYTES && group.length < GROUP_OBJECTS) continue;
    const full = group;
    await lanes.start(() => get.restoreFiles(full));
    group = [];
    groupBytes = 0;
  }
  const rest = group;
  await lanes.start(() => get.restoreFiles(rest));
  await lanes.drain();
}

interface Restored {
  readonly object: ObjectRow;
  readonly path: string;
}

/** A file that is not whole yet. */
interface Begun {
  readonly restored: Restored;
  readonly partPath: string;
  readonly requests: readonly ReadRequest[];
}

/** @throws MaintenanceError ERR_USAGE for a name that would leave the destination. */
function destinationOf(objectName: string, asked: string, destination: string): string {
  const root = resolve(destination);
  const below = asked === '' ? objectName : objectName.slice(asked.length).replace(/^\//, '');
  const path = below === '' ? root : resolve(root, below);
  if (path !== root && !path.startsWith(root === sep ? sep : root + sep)) {
    throw new MaintenanceError('ERR_USAGE', `object name "${objectName}" leads out of ${root}`, {
      nextStep: 'Get this object alone, under a name of your own.',
    });
  }
  return path;
}

class Get {
  readonly #context: PoolContext;
  readonly #root: string;
  readonly #options: GetOptions;
  readonly #failed: { name: string; error: WireError }[] = [];
  readonly #readExtents: ExtentRow[] = [];
  #objectCount = 0;
  #readBytes = 0;

  constructor(context: PoolContext, root: string, options: GetOptions) {
    this.#context = context;
    this.#root = root;
    this.#options = options;
  }

  get report(): GetReport {
    return {
      objectCount: this.#objectCount,
      readBytes: this.#readBytes,
      failed: [...this.#failed],
    };
  }

  makeDirectory({ object, path }: Restored): void {
    try {
      this.#refuseLinks(path);
      mkdirSync(path, { recursive: true });
      chmodSync(path, object.mode | 0o300);
      this.#objectCount += 1;
    } catch (cause) {
      this.#fail(object, fromNodeError('make', cause, path));
    }
  }

  makeLink({ object, path }: Restored): void {
    try {
      this.#makeRoom(path);
      if (this.#options.force) rmSync(path, { force: true });
      symlinkSync(object.linkTarget ?? '', path);
      lutimesSync(path, object.mtimeMs / 1000, object.mtimeMs / 1000);
      this.#objectCount += 1;
    } catch (cause) {
      this.#fail(object, fromNodeError('make', cause, path));
    }
  }

  /** Beside the destination first and renamed when whole: nobody ever sees half a file. */
  async restoreFiles(group: readonly Restored[]): Promise<void> {
    const begun = group.flatMap((restored) => this.#begin(restored) ?? []);
    // One bad extent must not cost its neighbours: then read object by object to find which it is.
    const allRead = await this.#readAll(begun.flatMap((one) => one.requests)).then(
      () => true,
      () => false,
    );
    for (const one of begun) {
      if (allRead) this.#finishFile(one);
      else await this.#readAlone(one);
    }
    this.#options.onProgress?.(this.#readBytes, this.#objectCount);
  }

  /** Makes what the content goes to, and says what that is. @returns null when that failed. */
  #begin(restored: Restored): Begun | null {
    const { object, path } = restored;
    // Not the file's own name with something behind it: names may be as long as they can get.
    const partPath = join(dirname(path), `.dynamicfs-part-${randomUUID()}`);
    try {
      this.#makeRoom(path);
      closeSync(openSync(partPath, 'wx', 0o600));
      const extents = this.#context.store.extents.ofObject(object.objectId);
      const requests = extents.map((extent) => ({
        extent,
        destination: {
          kind: 'file' as const,
          path: partPath,
          offsetBytes: extent.extentIndex * this.#context.extentBytes,
        },
      }));
      return { restored, partPath, requests };
    } catch (cause) {
      this.#fail(object, fromNodeError('create', cause, path));
      return null;
    }
  }

  /**
   * Begins anew: to what was begun, a thread may still write that waits for a disk which hangs. Again
   * when it met another such disk, until there is none.
   */
  async #readAlone({ restored, partPath }: Begun): Promise<void> {
    rmSync(partPath, { force: true });
    const anew = this.#begin(restored);
    if (!anew) return;
    try {
      await this.#readAll(anew.requests);
    } catch (cause) {
      if (cause instanceof GivenUpError) return await this.#readAlone(anew);
      rmSync(anew.partPath, { force: true });
      this.#fail(restored.object, asMaintenanceError(cause));
      return;
    }
    this.#finishFile(anew);
  }

  setTimes(path: string, object: ObjectRow): void {
    try {
      chmodSync(path, object.mode);
      utimesSync(path, object.mtimeMs / 1000, object.mtimeMs / 1000);
    } catch (cause) {
      this.#fail(object, fromNodeError('set the times of', cause, path));
    }
  }

  recordReads(): void {
    recordReads(this.#context, this.#readExtents, this.#readBytes);
  }

  /**
   * Long objects are read in pieces, so that a task stays bounded; large ones, since two threads that
   * write to one file are slower than one.
   */
  async #readAll(requests: readonly ReadRequest[]): Promise<void> {
    let task: ReadRequest[] = [];
    let taskBytes = 0;
    const reads: Promise<unknown>[] = [];
    for (const request of requests) {
      task.push(request);
      taskBytes += request.extent.sizeBytes;
      if (taskBytes < TASK_BYTES && task.length < GROUP_OBJECTS) continue;
      reads.push(readVerified(this.#context, task));
      task = [];
      taskBytes = 0;
    }
    if (task.length > 0) reads.push(readVerified(this.#context, task));
    const failure = (await Promise.allSettled(reads)).find((read) => read.status === 'rejected');
    if (failure) throw failure.reason;
  }

  #finishFile({ restored: { object, path }, partPath, requests }: Begun): void {
    try {
      chmodSync(partPath, object.mode);
      utimesSync(partPath, object.mtimeMs / 1000, object.mtimeMs / 1000);
      renameSync(partPath, path);
    } catch (cause) {
      rmSync(partPath, { force: true });
      this.#fail(object, fromNodeError('finish', cause, path));
      return;
    }
    this.#objectCount += 1;
    this.#readBytes += object.sizeBytes;
    for (const { extent } of requests) this.#readExtents.push(extent);
  }

  #makeRoom(path: string): void {
    this.#refuseLinks(dirname(path));
    mkdirSync(dirname(path), { recursive: true });
    // Not existsSync: a link that leads nowhere is somebody's, too.
    if (this.#options.force || !lstatSync(path, { throwIfNoEntry: false })) return;
    throw new MaintenanceError('ERR_TARGET_BUSY', `${path} exists already`, {
      nextStep: 'Add --force to replace it.',
    });
  }

  /** The destination itself may be a link; below it, a link would lead out of it. */
  #refuseLinks(path: string): void {
    for (let at = path; at.length > this.#root.length; at = dirname(at)) {
      if (!lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink()) continue;
      throw new MaintenanceError('ERR_TARGET_BUSY', `${at} is a symbolic link`, {
        nextStep: 'Remove the link, or choose another destination.',
      });
    }
  }

  #fail(object: ObjectRow, error: MaintenanceError): void {
    this.#failed.push({ name: object.name, error: error.toWire() });
  }
}
