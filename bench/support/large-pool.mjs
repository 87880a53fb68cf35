/**
 * A pool with a million extents: its catalogue only, since none of the measurements reads content.
 *
 * Written through the store's own methods. Every byte of every disk is accounted for, which the
 * pool's audit proves. One extent in five lies in 2 to 8 pieces, and free runs lie scattered between
 * them: about as many as extents, none longer than 256 KiB but for the rest at each disk's end.
 */

import { join } from 'node:path';
import { ExtentPool } from '../../dist/index.js';
import { KIB, logUniform, MIB, seededRandom } from './figures.mjs';

const BLOCK_BYTES = 4 * KIB;
const EXTENT_BYTES_MAX = 4 * MIB;
const FREE_BYTES_MAX = 256 * KIB;
/** Of a disk, what is kept in reserve at most: 1 %, and a little for what is rounded. */
const RESERVE_RATIO_MAX = 0.02;
const FRAGMENTED_SHARE = 0.2;
const FRAGMENTS_MAX = 8;
/** Beside the free runs inside fragmented extents, so that there are as many runs as extents. */
const GAP_AFTER_SHARE = 0.3;
const DISK_COUNT = 3;
const EXTENTS_PER_TRANSACTION = 20_000;
const HEADER_AND_JOURNAL_BYTES = 2 * MIB;

/** @returns the path of the pool, which is closed. */
export async function makeLargePool(directory, extentCount) {
  const path = join(directory, 'pool');
  const pool = ExtentPool.create(path);
  const capacityBytes = capacityFor(extentCount);
  for (let number = 1; number <= DISK_COUNT; number += 1) {
    pool.addDisk(join(directory, `disk-${number}`), { capacityBytes });
  }
  fillCatalogue(pool, extentCount);
  const { problems } = pool.audit();
  if (problems.length > 0) throw new Error(`the pool is not sound: ${problems[0]}`);
  await pool.close();
  return path;
}

/** The layout without a pool, for its length. */
function capacityFor(extentCount) {
  const endBytes = new Array(DISK_COUNT).fill(HEADER_AND_JOURNAL_BYTES);
  for (const { disk, lengthBytes } of layout(extentCount)) endBytes[disk] += lengthBytes;
  // The end of each disk is kept in reserve, which the layout stays clear of.
  const usableRatio = 1 - RESERVE_RATIO_MAX;
  return Math.ceil((Math.max(...endBytes) + FREE_BYTES_MAX) / usableRatio / MIB) * MIB;
}

function fillCatalogue({ context: { store } }, extentCount) {
  const disks = store.disks.all().map(({ diskId }) => ({ diskId, ...store.space.largest(diskId) }));
  const placed = layout(extentCount);
  let next = placed.next();
  while (!next.done) {
    store.transaction(() => {
      for (const disk of disks) store.space.remove(disk.diskId, disk.startBytes);
      for (let count = 0; count < EXTENTS_PER_TRANSACTION && !next.done; count += 1) {
        const { disk, pieces, sizeBytes, lengthBytes, index } = next.value;
        insert(store, disks[disk], pieces, sizeBytes, index);
        disks[disk].startBytes += lengthBytes;
        disks[disk].lengthBytes -= lengthBytes;
        next = placed.next();
      }
      // Not `add`, which would join the rest to a free run before it.
      for (const { diskId, startBytes, lengthBytes } of disks) {
        store.space.add(diskId, { startBytes, lengthBytes }, 'free');
      }
    });
    for (const disk of disks) joined(store, disk);
  }
}

/** The rest of a disk may have been joined to the free run before it: it begins there now. */
function joined(store, disk) {
  const rest = store.space.largest(disk.diskId);
  if (rest && rest.startBytes + rest.lengthBytes === disk.startBytes + disk.lengthBytes) {
    Object.assign(disk, { startBytes: rest.startBytes, lengthBytes: rest.lengthBytes });
  }
}

function insert(store, { diskId, startBytes }, pieces, sizeBytes, index) {
  const nowMs = Date.now();
  const runs = [];
  let at = startBytes;
  for (const { usedBytes, freeBytes } of pieces) {
    runs.push({ startBytes: at, lengthBytes: usedBytes });
    at += usedBytes;
    if (freeBytes > 0) store.space.add(diskId, { startBytes: at, lengthBytes: freeBytes }, 'free');
    at += freeBytes;
  }
  const objectId = store.objects.insert({
    name: `data/${index % 97}/${index % 1009}/file-${index}.bin`,
    kind: 'file',
    sizeBytes,
    extentCount: 1,
    mode: 0o644,
    mtimeMs: nowMs,
    linkTarget: null,
    storedAtMs: nowMs,
  });
  const extent = {
    objectId,
    extentIndex: 0,
    sizeBytes,
    checksum: Buffer.alloc(32, index),
    replicaCount: 1,
    tier: ['hot', 'warm', 'cold'][index % 3],
    heatScore: (index * 7919) % 1_000_003,
    readCount: 0,
    writeCount: 1,
    lastAccessAtMs: nowMs,
  };
  store.extents.insert(extent, [{ diskId, runs }]);
}

/** Extents with the free run behind each piece, in the order in which they lie on their disk. */
function* layout(extentCount) {
  const random = seededRandom(20_240_601);
  const freeRun = () => wholeBlocks(logUniform(random, BLOCK_BYTES, FREE_BYTES_MAX));
  for (let index = 0; index < extentCount; index += 1) {
    const sizeBytes = Math.floor(logUniform(random, BLOCK_BYTES, EXTENT_BYTES_MAX));
    const blocks = Math.ceil(sizeBytes / BLOCK_BYTES);
    const isFragmented = random() < FRAGMENTED_SHARE;
    const wanted = isFragmented ? 2 + Math.floor(random() * (FRAGMENTS_MAX - 1)) : 1;
    const count = Math.min(wanted, blocks);
    const pieces = [];
    let leftBlocks = blocks;
    for (let piece = 1; piece <= count; piece += 1) {
      const isLast = piece === count;
      const own = isLast ? leftBlocks : Math.max(1, Math.floor(blocks / count));
      leftBlocks -= own;
      const freeBytes = !isLast || random() < GAP_AFTER_SHARE ? freeRun() : 0;
      pieces.push({ usedBytes: own * BLOCK_BYTES, freeBytes });
    }
    const lengthBytes = pieces.reduce((sum, one) => sum + one.usedBytes + one.freeBytes, 0);
    yield { index, disk: index % DISK_COUNT, sizeBytes, pieces, lengthBytes };
  }
}

function wholeBlocks(bytes) {
  return Math.max(1, Math.floor(bytes / BLOCK_BYTES)) * BLOCK_BYTES;
}
