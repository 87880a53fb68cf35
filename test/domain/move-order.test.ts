/** In which order files are moved: how bad they are, then where their inodes lie. */

import { endianness } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gainClassOf, inInodeOrder } from '../../src/domain/move-order.js';

const isLittle = endianness() === 'LE';

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  if (isLittle) bytes.writeUInt32LE(value);
  else bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  if (isLittle) bytes.writeBigUInt64LE(BigInt(value));
  else bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

const GENERATION = u32(7);

function hex(type: number, ...parts: Buffer[]): string {
  return Buffer.concat([Buffer.of(type), ...parts]).toString('hex');
}

const HANDLES = {
  ext4: (inode: number) => hex(0x01, u32(inode), GENERATION),
  'XFS with 64-bit inodes': (inode: number) => hex(0x81, u64(inode), GENERATION),
  'one subvolume of Btrfs': (inode: number) => hex(0x4d, u64(inode), u64(5), GENERATION),
};

describe('the order of a run', () => {
  it('puts a file before all that would gain less than a sixteenth of it', () => {
    const classOf = (fragmentCount: number) =>
      gainClassOf({ fragmentCount, idealFragmentCount: 1 });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 2 ** 20 }), (fragmentCount) => {
        const gain = fragmentCount - 1;
        expect(classOf(1 + 16 * gain)).toBe(classOf(fragmentCount) + 1);
        expect(classOf(fragmentCount + 1)).toBeGreaterThanOrEqual(classOf(fragmentCount));
      }),
    );
    expect(classOf(2)).toBe(classOf(16));
    expect(gainClassOf({ fragmentCount: 1, idealFragmentCount: 1 })).toBe(classOf(2));
  });

  it.each(Object.entries(HANDLES))('is that of the inodes on %s', (_, handleOf) => {
    const inodes = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 32 - 1 }));
    fc.assert(
      fc.property(inodes, (found) => {
        const files = found.map((inode) => ({ handle: handleOf(inode), inode }));
        const ascending = [...found].sort((a, b) => a - b);
        expect(inInodeOrder(files).map(({ inode }) => inode)).toEqual(ascending);
      }),
    );
  });

  it('takes the subvolumes of Btrfs one after the other', () => {
    const handle = (treeId: number, inode: number) =>
      hex(0x4d, u64(inode), u64(treeId), GENERATION);
    const files = [handle(300, 2 ** 40), handle(5, 900), handle(300, 258), handle(5, 257)];
    const ordered = [handle(5, 257), handle(5, 900), handle(300, 258), handle(300, 2 ** 40)];
    expect(inInodeOrder(files.map((text) => ({ handle: text })))).toEqual(
      ordered.map((text) => ({ handle: text })),
    );
  });

  it('leaves files as they were where handles do not tell', () => {
    const files = [{ handle: 'ff0003' }, { handle: null }, { handle: '' }, { handle: '01' }];
    expect(inInodeOrder(files)).toEqual(files);
  });
});
