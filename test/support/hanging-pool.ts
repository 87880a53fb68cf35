/** A pool with copies on a device that can be made to hang, and in directories. */

import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { FaultDisk } from './fault-disk.js';
import type { LoopDevice } from './loop-device.js';
import { run } from './loop-mounts.js';
import { closePool, makeDevice, makePool, openPool, putFiles } from './pool-fixture.js';

/** The id of the disk that can hang. */
export const HANGING = 1;

const DISK_BYTES = 64 * MIB;

export class HangingPool implements AsyncDisposable {
  readonly device: LoopDevice;
  /** Of the test: opened again, it is another one. */
  pool: ExtentPool;
  readonly #fault: FaultDisk;

  private constructor(fault: FaultDisk, device: LoopDevice, pool: ExtentPool) {
    this.#fault = fault;
    this.device = device;
    this.pool = pool;
  }

  /** The first directory gets the other copy of all; there is nothing in further ones. */
  static async make(
    files: Readonly<Record<string, Uint8Array>>,
    shape: { readonly directoryCount?: number } = {},
  ): Promise<HangingPool> {
    const fault = await FaultDisk.start(DISK_BYTES);
    const device = makeDevice({ imagePath: fault.imagePath });
    const pool = makePool({ diskCount: 0, extentBytes: MIB, replicaCount: 2 });
    pool.addDisk(device.path);
    pool.addDisk(`${pool.path}-1`, { capacityBytes: DISK_BYTES });
    await putFiles(pool, files);
    for (let n = 2; n <= (shape.directoryCount ?? 1); n += 1) {
      pool.addDisk(`${pool.path}-${n}`, { capacityBytes: DISK_BYTES });
    }
    return new HangingPool(fault, device, pool);
  }

  /** Nothing is answered from the cache of the device either, as a rule. */
  hang({ keepCache = false } = {}): void {
    if (!keepCache) run('blockdev', ['--flushbufs', this.device.path]);
    this.#fault.hang();
  }

  goOn(): void {
    this.#fault.goOn();
  }

  /** Also while this thread waits. */
  goOnIn(seconds: number): void {
    this.#fault.goOnIn(seconds);
  }

  /** Every read from there on. */
  async failReads(fromBytes: number): Promise<void> {
    run('blockdev', ['--flushbufs', this.device.path]);
    await this.#fault.fail({ op: 'read', nth: 1, count: null, fromBytes });
  }

  /** The next read from there on is answered late; what is asked for meanwhile is not. */
  async delayNextRead(fromBytes: number, delayMs: number): Promise<void> {
    run('blockdev', ['--flushbufs', this.device.path]);
    await this.#fault.fail({ op: 'read', nth: 1, count: 1, fromBytes, delayMs });
  }

  async reopen(options: Parameters<typeof openPool>[1] = {}): Promise<ExtentPool> {
    await closePool(this.pool);
    this.pool = openPool(this.pool.path, options);
    return this.pool;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn();
    await closePool(this.pool);
    this.device.detach();
    await this.#fault[Symbol.asyncDispose]();
  }
}
