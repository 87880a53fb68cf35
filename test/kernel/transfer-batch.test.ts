/** Many ranges at once, by threads of the addon: what they say, and where the bytes end up. */

import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KIB } from '../../src/domain/units.js';
import { TransferBatch } from '../../src/kernel/transfer-batch.js';
import { tempDirectory } from '../support/temp-directory.js';

const PIECE_BYTES = 4 * KIB;

function makeFile(content: Buffer) {
  const path = join(tempDirectory('transfers'), 'file');
  writeFileSync(path, content);
  const fd = openSync(path, 'r+');
  return { file: { fd, path }, [Symbol.dispose]: () => closeSync(fd) };
}

function page(byte: number): Buffer {
  return Buffer.alloc(PIECE_BYTES, byte);
}

it('writes pieces of a buffer to their places, and reads them back into memory of any kind', () => {
  using made = makeFile(Buffer.alloc(8 * PIECE_BYTES));
  const { file } = made;
  const buffer = Buffer.concat([1, 2, 3, 4].map((byte) => Buffer.alloc(PIECE_BYTES, byte)));
  const requests = [6, 0, 4, 2].map((place, index) => ({
    file,
    atBytes: place * PIECE_BYTES,
    lengthBytes: PIECE_BYTES,
    bufferBytes: index * PIECE_BYTES,
  }));
  const whole = Array.from(requests, () => PIECE_BYTES);
  expect(TransferBatch.write(requests, buffer).finish()).toEqual(whole);
  const pieces = readFileSync(file.path);
  const firstBytes = Array.from({ length: 8 }, (_, place) => pieces[place * PIECE_BYTES]);
  expect(firstBytes).toEqual([2, 0, 4, 0, 3, 0, 1, 0]);

  const shared = Buffer.from(new SharedArrayBuffer(buffer.length));
  const reads = TransferBatch.read(requests, shared);
  expect(reads.finish()).toEqual(whole);
  expect(shared.equals(buffer)).toBe(true);
  expect(reads.finish()).toEqual(whole);
});

it('waits for one request at a time, in any order, more of them than there are threads', () => {
  const count = 40;
  using made = makeFile(Buffer.concat(Array.from({ length: count }, (_, n) => page(n))));
  const { file } = made;
  const buffer = Buffer.alloc(count * PIECE_BYTES);
  const requests = Array.from({ length: count }, (_, index) => {
    const atBytes = index * PIECE_BYTES;
    return { file, atBytes, lengthBytes: PIECE_BYTES, bufferBytes: atBytes };
  });
  for (let round = 0; round < 20; round += 1) {
    const batch = TransferBatch.read(requests, buffer.fill(0xff));
    const other = TransferBatch.read(requests, Buffer.alloc(buffer.length));
    for (const index of [39, 0, 17, 17]) {
      expect(batch.wait(index)).toBe(PIECE_BYTES);
      const at = index * PIECE_BYTES;
      expect(buffer.subarray(at, at + PIECE_BYTES).equals(page(index))).toBe(true);
    }
    expect(other.finish()).toHaveLength(count);
    expect(batch.finish()).toHaveLength(count);
    expect(other.buffer.equals(buffer)).toBe(true);
  }
  expect(() => TransferBatch.read(requests, buffer).wait(count)).toThrow(TypeError);
});

it('says how much there was at the end of a file, and which request failed', () => {
  using made = makeFile(Buffer.alloc(PIECE_BYTES + 7));
  const { file } = made;
  const closed = { fd: 1_000_000, path: 'closed' };
  const at = (of: typeof file, bufferBytes: number) => ({
    file: of,
    atBytes: PIECE_BYTES,
    lengthBytes: PIECE_BYTES,
    bufferBytes,
  });
  const buffer = Buffer.alloc(2 * PIECE_BYTES);
  const [end, failed] = TransferBatch.read([at(file, 0), at(closed, PIECE_BYTES)], buffer).finish();
  expect(end).toBe(7);
  expect(failed).toMatchObject({ details: { errnoName: 'EBADF' } });
  const [unwritten] = TransferBatch.write([at(closed, 0)], buffer).finish();
  expect(unwritten).toMatchObject({ details: { errnoName: 'EBADF' } });
});
