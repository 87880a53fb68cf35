/** A raw block device: a loop device on a sparse image under the temporary root of the tests. */

import {
  closeSync,
  ftruncateSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { attachLoop, run } from './loop-mounts.js';
import { tempDirectory } from './temp-directory.js';

export interface LoopDeviceOptions {
  readonly sizeBytes?: number;
  /** Logical block size. */
  readonly sectorBytes?: 512 | 4096;
  /** Somebody else's, which is not deleted. */
  readonly imagePath?: string;
}

const PARTITION_SECTOR_BYTES = 512;
const SIZE_BYTES = 64 * 1024 * 1024;

/** `using` detaches and removes it. */
export class LoopDevice implements Disposable {
  readonly imagePath: string;
  readonly #directory: string | null;
  readonly #options: readonly string[];
  #path: string | null = null;

  constructor({ sizeBytes = SIZE_BYTES, sectorBytes = 512, imagePath }: LoopDeviceOptions = {}) {
    this.#options = [`--sector-size=${sectorBytes}`];
    this.#directory = imagePath === undefined ? tempDirectory('device') : null;
    this.imagePath = imagePath ?? join(this.#directory ?? '', 'disk.img');
    if (imagePath === undefined) {
      const fd = openSync(this.imagePath, 'w');
      ftruncateSync(fd, sizeBytes);
      closeSync(fd);
    }
    this.attach();
  }

  /** Another one each time that it is attached. */
  get path(): string {
    if (this.#path === null) throw new Error('the device is detached');
    return this.#path;
  }

  attach(options: readonly string[] = []): void {
    this.#path = attachLoop(this.imagePath, [...this.#options, ...options]);
  }

  detach(): void {
    if (this.#path !== null) run('losetup', ['--detach', this.#path]);
    this.#path = null;
  }

  /** Attached anew, with one partition from that sector to the end. @returns its path. */
  partition(startSector: number): string {
    const sectorCount = statSync(this.imagePath).size / PARTITION_SECTOR_BYTES - startSector;
    const table = Buffer.alloc(PARTITION_SECTOR_BYTES);
    table[450] = 0x83;
    table.writeUInt32LE(startSector, 454);
    table.writeUInt32LE(sectorCount, 458);
    table.writeUInt16LE(0xaa55, 510);
    this.detach();
    const fd = openSync(this.imagePath, 'r+');
    writeSync(fd, table, 0, table.length, 0);
    closeSync(fd);
    this.attach(['--partscan']);
    // Also where the kernel was built to read no partition tables.
    run('partx', ['--update', this.path]);
    return `${this.path}p1`;
  }

  /** Attached anew, with its image of another length. */
  resize(sizeBytes: number): void {
    this.detach();
    truncateSync(this.imagePath, sizeBytes);
    this.attach();
  }

  [Symbol.dispose](): void {
    this.detach();
    if (this.#directory !== null) rmSync(this.#directory, { recursive: true, force: true });
  }
}
