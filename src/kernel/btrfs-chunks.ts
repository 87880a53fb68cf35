/** The chunks of a mounted Btrfs: which logical addresses there are, and where they lie. */

import { kernelAddon } from './addon.js';
import type { OpenFile } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** Source: linux/btrfs_tree.h. */
const CHUNK_TREE = 3n;
const EXTENT_TREE = 2n;
const BLOCK_GROUP_TREE = 11n;
const FREE_SPACE_TREE = 10n;
const CHUNK_OBJECT = 256n;
const CHUNK_ITEM = 228;
const BLOCK_GROUP_ITEM = 192;
const FREE_SPACE_INFO = 198;
const HEADER_BYTES = 32;
const CHUNK_BYTES = 48;
const STRIPE_BYTES = 32;
/** RAID0, RAID10, RAID5 and RAID6: a stripe holds a part, not a copy. */
const STRIPED_TYPES = 0x8n | 0x40n | 0x80n | 0x100n;

export interface BtrfsChunk {
  readonly startBytes: number;
  readonly lengthBytes: number;
  /** False where each stripe holds a part of the chunk only. */
  readonly isCopied: boolean;
  readonly stripes: readonly { readonly deviceId: number; readonly startBytes: number }[];
  /** Null where the file system has no free-space tree. */
  readonly freeRunCount: number | null;
  readonly usedBytes: number | null;
}

/**
 * @param onlyAtBytes the chunk that begins there; null for all, each of which costs two calls.
 * @returns sorted by logical address; committed state only.
 * @throws KernelCallError ERR_PERMISSION without CAP_SYS_ADMIN, ERR_UNSUPPORTED elsewhere than on Btrfs.
 *
 * Source: struct btrfs_chunk, btrfs_block_group_item and btrfs_free_space_info.
 */
export function btrfsChunks(file: OpenFile, onlyAtBytes: number | null = null): BtrfsChunk[] {
  return treeItems(file, CHUNK_TREE, CHUNK_ITEM, CHUNK_OBJECT)
    .filter(({ offset }) => onlyAtBytes === null || Number(offset) === onlyAtBytes)
    .map(({ offset, data }) => {
      const info = firstItem(file, [FREE_SPACE_TREE], FREE_SPACE_INFO, offset);
      const group = firstItem(file, [BLOCK_GROUP_TREE, EXTENT_TREE], BLOCK_GROUP_ITEM, offset);
      return {
        startBytes: Number(offset),
        lengthBytes: Number(data.readBigUInt64LE(0)),
        isCopied: (data.readBigUInt64LE(24) & STRIPED_TYPES) === 0n,
        stripes: stripesOf(data),
        freeRunCount: info?.readUInt32LE(0) ?? null,
        usedBytes: group ? Number(group.readBigUInt64LE(0)) : null,
      };
    });
}

function stripesOf(chunk: Buffer): BtrfsChunk['stripes'] {
  return Array.from({ length: chunk.readUInt16LE(44) }, (_, index) => ({
    deviceId: Number(chunk.readBigUInt64LE(CHUNK_BYTES + index * STRIPE_BYTES)),
    startBytes: Number(chunk.readBigUInt64LE(CHUNK_BYTES + index * STRIPE_BYTES + 8)),
  }));
}

/** Not every file system has every tree: the first that has the item counts. */
function firstItem(
  file: OpenFile,
  trees: readonly bigint[],
  type: number,
  object: bigint,
): Buffer | null {
  for (const tree of trees) {
    try {
      const [item] = treeItems(file, tree, type, object);
      if (item) return item.data;
    } catch (cause) {
      if (!(cause instanceof KernelCallError) || cause.code !== 'ERR_TARGET_NOT_FOUND') throw cause;
    }
  }
  return null;
}

function treeItems(
  file: OpenFile,
  tree: bigint,
  type: number,
  object: bigint,
): { readonly offset: bigint; readonly data: Buffer }[] {
  const { errno, items } = kernelAddon().btrfsTreeItems(file.fd, tree, type, object);
  if (errno !== 0) throw new KernelCallError('read the trees of', errno, file.path);
  const found: { offset: bigint; data: Buffer }[] = [];
  for (let at = 0; at < items.length; ) {
    // Behind the transaction and the object: offset, type, length.
    const lengthBytes = items.readUInt32LE(at + 28);
    const dataAt = at + HEADER_BYTES;
    found.push({
      offset: items.readBigUInt64LE(at + 16),
      data: items.subarray(dataAt, dataAt + lengthBytes),
    });
    at = dataAt + lengthBytes;
  }
  return found;
}
