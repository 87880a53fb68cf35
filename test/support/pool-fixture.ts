/** Pools on real directories, closed after each test; contents that can be made again from a seed. */

import { createCipheriv, createHash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, expect } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import type { OpenPoolOptions } from '../../src/pool/extent-pool/context.js';
import { createPool } from '../../src/pool/extent-pool/create.js';
import { type DiskInfo, ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import type { PutOptions, PutReport } from '../../src/pool/extent-pool/put.js';
import type { PutEntry } from '../../src/pool/extent-pool/put-source.js';
import { LoopDevice, type LoopDeviceOptions } from './loop-device.js';
import { canMount } from './loop-mounts.js';
import { sharedWorkers } from './shared-workers.js';
import { tempDirectory } from './temp-directory.js';

const open = new Set<ExtentPool>();
const devices = new Set<LoopDevice>();

afterEach(async () => {
  for (const pool of open) await pool.close();
  open.clear();
  for (const device of devices) device[Symbol.dispose]();
  devices.clear();
});

/** A block device that is gone after the test, when the pools that use it are closed. */
export function makeDevice(options: LoopDeviceOptions = {}): LoopDevice {
  const device = new LoopDevice(options);
  devices.add(device);
  return device;
}

export interface PoolShape {
  readonly diskCount?: number;
  /** Which disks are raw block devices, counted from 1, where loop devices can be made. */
  readonly devices?: readonly number[];
  readonly capacityBytes?: number;
  readonly extentBytes?: number;
  readonly replicaCount?: number;
  readonly clock?: () => number;
}

/** A new pool on sparse disks `disk-1`, `disk-2`, … beside it. */
export function makePool(shape: PoolShape = {}): ExtentPool {
  const { diskCount = 1, capacityBytes = 256 * MIB, devices: onDevices = [], ...options } = shape;
  const root = tempDirectory('pool');
  createPool(join(root, 'pool'), options);
  const pool = openPool(join(root, 'pool'), options.clock ? { clock: options.clock } : {});
  for (let n = 1; n <= diskCount; n += 1) {
    if (canMount && onDevices.includes(n)) {
      pool.addDisk(makeDevice({ sizeBytes: capacityBytes + MIB }).path);
    } else pool.addDisk(join(root, `disk-${n}`), { capacityBytes });
  }
  return pool;
}

export function openPool(path: string, options: OpenPoolOptions = {}): ExtentPool {
  const workers = options.threadCount === undefined ? { workers: sharedWorkers } : {};
  const pool = ExtentPool.open(path, { ...workers, ...options });
  open.add(pool);
  return pool;
}

export async function closePool(pool: ExtentPool): Promise<void> {
  open.delete(pool);
  await pool.close();
}

export async function reopenPool(
  pool: ExtentPool,
  options: OpenPoolOptions = {},
): Promise<ExtentPool> {
  await closePool(pool);
  return openPool(pool.path, options);
}

/** Bytes that look random and are the same for the same seed. */
export function content(seed: number | string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(String(seed)).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

export function checksum(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** An entry of a file that is made for it. */
export function fileEntry(name: string, bytes: Uint8Array): PutEntry {
  const sourcePath = join(tempDirectory('source'), 'file');
  mkdirSync(dirname(sourcePath), { recursive: true });
  writeFileSync(sourcePath, bytes);
  const { mtimeMs } = lstatSync(sourcePath);
  return {
    name,
    kind: 'file',
    sizeBytes: bytes.length,
    mode: 0o640,
    mtimeMs,
    linkTarget: null,
    sourcePath,
    content: null,
  };
}

/** Stores them in one group, in this order. */
export async function putFiles(
  pool: ExtentPool,
  files: Readonly<Record<string, Uint8Array>>,
  options: PutOptions = {},
): Promise<PutReport> {
  const entries = Object.entries(files).map(([name, bytes]) => fileEntry(name, bytes));
  const report = await pool.put(entries, options);
  expect(report.failed).toEqual([]);
  return report;
}

export async function readAll(pool: ExtentPool, name: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of pool.read(name)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Names and checksums of all files, and kinds of the rest. */
export async function inventory(pool: ExtentPool): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { name, kind, linkTarget } of pool.list()) {
    found[name] = kind === 'file' ? checksum(await readAll(pool, name)) : `${kind} ${linkTarget}`;
  }
  return found;
}

/** Every byte is in one place, every replica is there, and nobody holds a reservation. */
export function expectSound(pool: ExtentPool): void {
  const { problems, disks } = pool.audit();
  expect(problems).toEqual([]);
  expect(disks.map((disk) => disk.reservedBytes)).toEqual(disks.map(() => 0));
}

export function backingFiles(pool: ExtentPool): string[] {
  return pool.disks().map(backingOf);
}

/** Where the bytes of a disk are. */
export function backingOf({ kind, path }: Pick<DiskInfo, 'kind' | 'path'>): string {
  return kind === 'device' ? path : join(path, 'dynamicfs.data');
}

/** What the backing file takes of its file system. */
export function allocatedBytesOf(path: string): number {
  return statSync(path).blocks * 512;
}

export function patchFile(path: string, atBytes: number, change: (bytes: Buffer) => void): void {
  const fd = openSync(path, 'r+');
  try {
    const bytes = Buffer.alloc(4096);
    const lengthBytes = readSync(fd, bytes, 0, bytes.length, atBytes);
    change(bytes);
    writeSync(fd, bytes, 0, lengthBytes, atBytes);
  } finally {
    closeSync(fd);
  }
}

/** Flips a bit in the first block of a replica, as a disk might. */
export function corruptReplica(pool: ExtentPool, extentId: number, diskId: number): void {
  const { store } = pool.context;
  const replica = store.extents.replicas(extentId).find((one) => one.diskId === diskId);
  const disk = store.disks.get(diskId);
  const startBytes = replica?.runs[0]?.startBytes;
  if (!disk || startBytes === undefined) throw new Error('no such replica');
  patchFile(backingOf(disk), startBytes, (bytes) => {
    bytes[0] = (bytes[0] ?? 0) ^ 1;
  });
}

/** Fills a disk with small objects and deletes every other one: no free run is longer than a hole. */
export async function fragmentFreeSpace(pool: ExtentPool, holeBytes: number): Promise<void> {
  const usable = pool.context.store.disks.all().map((disk) => {
    const { freeBytes, pendingBytes } = pool.context.store.space.totals(disk.diskId);
    return freeBytes + pendingBytes - disk.reserveBytes;
  });
  const count = Math.floor(Math.min(...usable) / holeBytes);
  const bytes = content('filler', holeBytes);
  const source = fileEntry('filler', bytes);
  const replicaCount = pool.disks().length;
  const names = Array.from({ length: count }, (_, n) => `filler/${n % 2 ? 'odd' : 'even'}/${n}`);
  await pool.put(
    names.map((name) => ({ ...source, name })),
    { replicaCount },
  );
  pool.remove('filler/odd', true);
}
