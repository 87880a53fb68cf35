/** BLAKE3, the checksum of extents. 2.5–3.6 GB/s a thread here: several times what disks deliver. */

import { Blake3Hasher } from '@napi-rs/blake-hash';

/** @returns 32 bytes. */
export function checksumOf(bytes: Buffer): Buffer {
  return new Blake3Hasher().update(bytes).digestBuffer();
}

export function hasChecksum(bytes: Buffer, expected: Uint8Array): boolean {
  return checksumOf(bytes).equals(expected);
}
