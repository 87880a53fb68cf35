/** The block groups of ext4, by which it remembers what it has trimmed. */

import { KIB } from '../domain/units.js';

/**
 * @param blockBytes of the file system, from statfs(2).
 * @returns the size of a group, and where the first begins: one bitmap block has a bit per block.
 *
 * Groups of a file system with `bigalloc` are larger; then more than what changed is trimmed again.
 *
 * Source: Documentation/filesystems/ext4/blockgroup.rst, s_first_data_block.
 */
export function ext4Groups(blockBytes: number): {
  readonly groupBytes: number;
  readonly originBytes: number;
} {
  return { groupBytes: 8 * blockBytes * blockBytes, originBytes: blockBytes === KIB ? KIB : 0 };
}
