/** Brings objects back as files, links and directories, or as a stream of bytes. */

import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { asMaintenanceError, MaintenanceError, type WireError } from '../../domain/errors.js';
import { MIB } from '../../domain/units.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import type { ExtentRow } from '../../store/extents.js';
import type { ObjectKind, ObjectRow } from '../../store/objects.js';
import type { PoolContext } from './context.js';
import { Destination } from './get-destination.js';
import { Lanes } from './lanes.js';
import { type ReadRequest, readVerified, recordReads } from './read.js';
import { ReadTries } from './read-tries.js';
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
  const place = new Destination(destination, options.force ?? false);
  const all = objects.map((object) => ({ object, path: place.pathOf(object.name, name) }));
  const get = new Get(context, place, options);
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

class Get {
  readonly #context: PoolContext;
  readonly #destination: Destination;
  readonly #options: GetOptions;
  readonly #tries = new ReadTries();
  readonly #failed: { name: string; error: WireError }[] = [];
  readonly #readExtents: ExtentRow[] = [];
  #objectCount = 0;
  #readBytes = 0;

  constructor(context: PoolContext, destination: Destination, options: GetOptions) {
    this.#context = context;
    this.#destination = destination;
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
      this.#destination.refuseLinks(path);
      mkdirSync(path, { recursive: true });
      chmodSync(path, object.mode | 0o300);
      this.#objectCount += 1;
    } catch (cause) {
      this.#fail(object, fromNodeError('make', cause, path));
    }
  }

  makeLink({ object, path }: Restored): void {
    try {
      this.#destination.makeRoom(path);
      if (this.#destination.force) rmSync(path, { force: true });
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
    const requests = begun.flatMap((one) => one.requests);
    // One bad extent must not cost its neighbours: then read object by object to find which it is.
    const allRead = await this.#tries
      .once((avoided) => this.#readAll(requests, avoided))
      .then(
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
      this.#destination.makeRoom(path);
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

  async #readAlone({ restored, partPath }: Begun): Promise<void> {
    rmSync(partPath, { force: true });
    try {
      const begun = await this.#tries.untilAnswered((avoided) => this.#readAnew(restored, avoided));
      if (begun) this.#finishFile(begun);
    } catch (cause) {
      this.#fail(restored.object, asMaintenanceError(cause));
    }
  }

  /** Begins anew: to what was begun, a thread may still write that waits for a disk which hangs. */
  async #readAnew(restored: Restored, avoided: ReadonlySet<string>): Promise<Begun | null> {
    const begun = this.#begin(restored);
    if (!begun) return null;
    try {
      await this.#readAll(begun.requests, avoided);
      return begun;
    } catch (cause) {
      rmSync(begun.partPath, { force: true });
      throw cause;
    }
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
  async #readAll(requests: readonly ReadRequest[], avoided: ReadonlySet<string>): Promise<void> {
    let task: ReadRequest[] = [];
    let taskBytes = 0;
    const reads: Promise<unknown>[] = [];
    for (const request of requests) {
      task.push(request);
      taskBytes += request.extent.sizeBytes;
      if (taskBytes < TASK_BYTES && task.length < GROUP_OBJECTS) continue;
      reads.push(readVerified(this.#context, task, avoided));
      task = [];
      taskBytes = 0;
    }
    if (task.length > 0) reads.push(readVerified(this.#context, task, avoided));
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

  #fail(object: ObjectRow, error: MaintenanceError): void {
    this.#failed.push({ name: object.name, error: error.toWire() });
  }
}
