import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { InvariantError } from '../../src/domain/errors.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { alignedBuffer } from '../../src/kernel/aligned-buffer.js';
import { setIdlePriority } from '../../src/kernel/io-priority.js';
import { dropPageCache } from '../../src/kernel/page-cache.js';
import { tempDirectory } from '../support/temp-directory.js';

function writtenFile(content: Buffer): string {
  const path = join(tempDirectory('direct'), 'dynamicfs.data');
  const fd = openSync(path, 'w');
  writeSync(fd, content);
  fsyncSync(fd);
  closeSync(fd);
  return path;
}

// The second is asked for in huge pages, and ends within one.
it.each([MIB, 5 * MIB])('reads past the page cache into %d aligned bytes', (sizeBytes) => {
  const content = Buffer.alloc(sizeBytes, 'dynamicfs');
  const path = writtenFile(content);
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  try {
    const buffer = alignedBuffer(sizeBytes);
    expect(buffer.equals(Buffer.alloc(sizeBytes))).toBe(true);
    expect(readSync(fd, buffer, 0, sizeBytes, 0)).toBe(sizeBytes);
    expect(buffer.equals(content)).toBe(true);
    expect(readSync(fd, buffer, 4 * KIB, 4 * KIB, 8 * KIB)).toBe(4 * KIB);
  } finally {
    closeSync(fd);
  }
});

it.each([0, -4096, 1000, 4096.5])('refuses an aligned buffer of %d bytes', (sizeBytes) => {
  expect(() => alignedBuffer(sizeBytes)).toThrow(InvariantError);
});

it('drops cached pages and leaves the content', () => {
  const content = Buffer.alloc(64 * KIB, 7);
  const path = writtenFile(content);
  const fd = openSync(path, 'r');
  try {
    dropPageCache({ fd, path }, { startBytes: 0, lengthBytes: content.length });
    const buffer = Buffer.alloc(content.length);
    readSync(fd, buffer, 0, buffer.length, 0);
    expect(buffer.equals(content)).toBe(true);
  } finally {
    closeSync(fd);
  }
});

it('puts its own thread in the idle I/O class', () => {
  expect(setIdlePriority()).toBe(true);
});
