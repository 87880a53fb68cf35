/** A pool with extents that really lie in pieces, content and all. */

import { randomFillSync } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ExtentPool } from '../../dist/index.js';
import { MIB } from './figures.mjs';

export const EXTENT_BYTES = 4 * MIB;
const OBJECT_NAME = 'bench';
const OWNER = 'bench/scatter';

/** @returns an open pool with one disk, three times as large as its content. */
export async function makePool(directory, { extentCount, threadCount }) {
  const path = join(directory, 'pool');
  await ExtentPool.create(path).close();
  const pool = ExtentPool.open(path, { threadCount });
  const capacityBytes = 3 * extentCount * EXTENT_BYTES + 128 * MIB;
  pool.addDisk(join(directory, 'disk'), { capacityBytes });
  const content = randomFillSync(Buffer.alloc(extentCount * EXTENT_BYTES));
  await pool.writeExtent(OBJECT_NAME, content);
  return pool;
}

export function extentsOf(pool) {
  return pool.extents(OBJECT_NAME);
}

export function diskOf(pool) {
  const [disk] = pool.context.store.disks.all();
  const path = disk.kind === 'device' ? disk.path : join(disk.path, 'dynamicfs.data');
  return { diskId: disk.diskId, path };
}

/**
 * Moves every extent into `pieceCount` pieces of equal length: first all first pieces, then all
 * second ones, and so on. What the extents leave is free at once.
 */
export function scatter(pool, pieceCount) {
  const { store } = pool.context;
  const { diskId, path } = diskOf(pool);
  const extents = extentsOf(pool);
  const pieceBytes = EXTENT_BYTES / pieceCount;
  const content = Buffer.alloc(EXTENT_BYTES);
  const fd = openSync(path, 'r+');
  store.transaction(() => {
    const fit = store.space.bestFit(diskId, extents.length * EXTENT_BYTES);
    const area = store.space.reserve(fit, extents.length * EXTENT_BYTES, OWNER);
    store.space.takeReserved(OWNER);
    for (const [index, { extentId }] of extents.entries()) {
      const [replica] = store.extents.replicas(extentId);
      let at = 0;
      for (const run of replica.runs) {
        at += readSync(fd, content, at, run.lengthBytes, run.startBytes);
      }
      const runs = [];
      for (let piece = 0; piece < pieceCount; piece += 1) {
        const startBytes = area.startBytes + (piece * extents.length + index) * pieceBytes;
        writeSync(fd, content, piece * pieceBytes, pieceBytes, startBytes);
        runs.push({ startBytes, lengthBytes: pieceBytes });
      }
      store.extents.replaceReplica(extentId, diskId, { diskId, runs });
      for (const run of replica.runs) store.space.add(diskId, run, 'free');
    }
    fdatasyncSync(fd);
  });
  closeSync(fd);
}

/** What rewrites left behind is free, without a discard: the file keeps its blocks. */
export function freePending(pool) {
  const { store } = pool.context;
  const { diskId } = diskOf(pool);
  store.transaction(() => {
    const pending = [...store.space.iterate(diskId)].filter((run) => run.state === 'pending');
    for (const run of pending) {
      store.space.remove(diskId, run.startBytes);
      store.space.add(diskId, run, 'free');
    }
  });
}
