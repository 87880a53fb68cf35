import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/domain/errors.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { mappedBytes } from '../../src/kernel/fiemap.js';
import type { OpenFile } from '../../src/kernel/kernel-call.js';
import { punchHole } from '../../src/kernel/punch-hole.js';
import { syncFileSystem } from '../../src/kernel/sync-file-system.js';
import { tempDirectory } from '../support/temp-directory.js';

const FILE_BYTES = 8 * MIB;
const WHOLE = { startBytes: 0, lengthBytes: FILE_BYTES };
const HOLE = { startBytes: 2 * MIB, lengthBytes: 4 * MIB };

/** `st_blocks` counts 512-byte sectors, whatever the block size of the file system is. */
function allocatedBytes(file: OpenFile): number {
  return fstatSync(file.fd).blocks * 512;
}

function bytesAt(file: OpenFile, startBytes: number): Buffer {
  const buffer = Buffer.alloc(4 * KIB);
  readSync(file.fd, buffer, 0, buffer.length, startBytes);
  return buffer;
}

describe('a file on a real file system', () => {
  let file: OpenFile;

  beforeEach(() => {
    const path = join(tempDirectory('holes'), 'dynamicfs.data');
    file = { fd: openSync(path, 'w+'), path };
    writeSync(file.fd, Buffer.alloc(FILE_BYTES, 0xab));
    fsyncSync(file.fd);
  });

  afterEach(() => {
    try {
      closeSync(file.fd);
    } catch {
      // The test has closed it.
    }
  });

  it('gives the space of a punched hole back and keeps the rest', () => {
    expect(mappedBytes(file, WHOLE)).toBe(FILE_BYTES);
    const allocatedBefore = allocatedBytes(file);

    punchHole(file, HOLE);
    syncFileSystem(file);

    expect(mappedBytes(file, WHOLE)).toBe(FILE_BYTES - HOLE.lengthBytes);
    expect(mappedBytes(file, HOLE)).toBe(0);
    expect(allocatedBytes(file)).toBe(allocatedBefore - HOLE.lengthBytes);
    expect(fstatSync(file.fd).size).toBe(FILE_BYTES);
    expect(bytesAt(file, HOLE.startBytes - 4 * KIB)).toEqual(Buffer.alloc(4 * KIB, 0xab));
    expect(bytesAt(file, HOLE.startBytes)).toEqual(Buffer.alloc(4 * KIB));
    expect(bytesAt(file, HOLE.startBytes + HOLE.lengthBytes)).toEqual(Buffer.alloc(4 * KIB, 0xab));
  });

  it('counts only the part of a mapping that lies inside the run', () => {
    const run = { startBytes: 12 * KIB, lengthBytes: 20 * KIB };
    expect(mappedBytes(file, run)).toBe(run.lengthBytes);
    expect(mappedBytes(file, { startBytes: FILE_BYTES, lengthBytes: MIB })).toBe(0);
  });

  it('sums up more mappings than fit into one answer of the kernel', () => {
    const holeCount = 700;
    for (let index = 0; index < holeCount; index += 1) {
      punchHole(file, { startBytes: index * 8 * KIB, lengthBytes: 4 * KIB });
    }
    expect(mappedBytes(file, WHOLE)).toBe(FILE_BYTES - holeCount * 4 * KIB);
  });

  it('punches a hole a second time without an error', () => {
    punchHole(file, HOLE);
    punchHole(file, HOLE);
    expect(mappedBytes(file, HOLE)).toBe(0);
  });

  it('answers a closed descriptor with a typed error that names the call and the path', () => {
    closeSync(file.fd);
    const error = expect.objectContaining({
      name: 'KernelCallError',
      code: 'ERR_KERNEL',
      message: `cannot punch a hole in ${file.path}: Bad file descriptor (EBADF)`,
      details: { call: 'punch a hole in', errno: 9, errnoName: 'EBADF', path: file.path },
    });
    expect(() => punchHole(file, HOLE)).toThrow(error);
    expect(() => mappedBytes(file, HOLE)).toThrow('read the map of');
  });

  it('says that a file system without holes is unsupported', () => {
    const path = '/proc/self/status';
    const procFile = { fd: openSync(path, 'r'), path };
    try {
      const error = expect.objectContaining({ code: 'ERR_UNSUPPORTED', retryable: false });
      expect(() => mappedBytes(procFile, WHOLE)).toThrow(error);
    } finally {
      closeSync(procFile.fd);
    }
  });

  it.each([
    { startBytes: 0, lengthBytes: 0 },
    { startBytes: -1, lengthBytes: 4 * KIB },
    { startBytes: 0.5, lengthBytes: 4 * KIB },
    { startBytes: Number.MAX_SAFE_INTEGER, lengthBytes: 1 },
  ])('refuses $startBytes + $lengthBytes before the kernel sees it', (run) => {
    expect(() => punchHole(file, run)).toThrow(InvariantError);
  });
});
