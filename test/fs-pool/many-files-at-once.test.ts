/** What is asked of many files in one call: each gets its own answer, in its own place. */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KIB } from '../../src/domain/units.js';
import { openByHandles } from '../../src/kernel/file-handle.js';
import { fileMappings, flushAndMapFiles, lookAtFiles } from '../../src/kernel/file-state.js';
import { KernelCallError } from '../../src/kernel/kernel-error.js';
import { fragmentCount, handleOfPath, makeFragmented } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';

const WHOLE = { startBytes: 0, lengthBytes: Number.MAX_SAFE_INTEGER };

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('many files of %s at once', (fsType: LoopFsType) => {
  let mount: LoopMount;
  beforeAll(() => {
    mount = new LoopMount(fsType);
  });
  afterAll(() => mount.remove());

  function open(handles: readonly string[]): ReturnType<typeof openByHandles> {
    const fd = openSync(mount.mountPath, 'r');
    try {
      return openByHandles({ fd, path: mount.mountPath }, handles, constants.O_RDONLY);
    } finally {
      closeSync(fd);
    }
  }

  function openNames(names: readonly string[]) {
    const files = open(names.map((name) => handleOfPath(mount.path(name))));
    return files.map((file) => {
      if (file instanceof KernelCallError) throw file;
      return file;
    });
  }

  it('opens those that are there, beside some that are gone and what is no handle', () => {
    makeFragmented(mount, ['first', 'gone', 'last'], { sizeBytes: 16 * KIB });
    const handles = ['first', 'gone', 'last'].map((name) => handleOfPath(mount.path(name)));
    rmSync(mount.path('gone'));
    const [first, gone, none, odd, last] = open([
      handles[0] ?? '',
      handles[1] ?? '',
      'no handle',
      '012',
      handles[2] ?? '',
    ]);
    expect(gone).toMatchObject({ details: { errnoName: 'ESTALE' } });
    expect(none).toMatchObject({ details: { errnoName: 'EINVAL' } });
    expect(odd).toMatchObject({ details: { errnoName: 'EINVAL' } });
    for (const [file, name] of [[first, 'first'] as const, [last, 'last'] as const]) {
      if (!file || file instanceof KernelCallError) throw file;
      expect(file.path).toBe(mount.path(name));
      expect(readFileSync(file.fd)).toEqual(readFileSync(mount.path(name)));
      file[Symbol.dispose]();
      expect(file.path).toBe(mount.path(name));
    }
  });

  it('does not tell the name of another file once its own is closed', () => {
    makeFragmented(mount, ['closed', 'other'], { sizeBytes: 16 * KIB });
    const [closed] = openNames(['closed']);
    closed?.[Symbol.dispose]();
    const [other] = openNames(['other']);
    expect(other?.fd).toBe(closed?.fd);
    expect(closed?.path).toMatch(/^file [0-9a-f]+ of /);
    other?.[Symbol.dispose]();
  });

  it('tells what each is, to the nanosecond, also before 1970', () => {
    makeFragmented(mount, ['old', 'tagged', 'young'], { sizeBytes: 16 * KIB });
    execFileSync('touch', ['-d', '1969-12-31 23:59:58.25 UTC', mount.path('old')]);
    execFileSync('touch', ['-d', '2030-01-02 03:04:05.678901234 UTC', mount.path('young')]);
    execFileSync('chown', ['12:34', mount.path('young')]);
    execFileSync('setfattr', ['-n', 'user.tag', '-v', '1', mount.path('tagged')]);
    const files = openNames(['old', 'tagged', 'young']);
    const found = lookAtFiles(files, 'user.tag');
    const expected = files.map(({ fd }) => {
      const { size, mtimeNs, ctimeNs, ino, dev, uid, gid } = fstatSync(fd, { bigint: true });
      return {
        mark: { sizeBytes: Number(size), mtimeNs: `${mtimeNs}`, ctimeNs: `${ctimeNs}` },
        ...{ inode: ino, deviceNumber: Number(dev), userId: Number(uid), groupId: Number(gid) },
        isRegularFile: true,
      };
    });
    expect(found).toMatchObject(expected);
    expect(found).toMatchObject([
      { mark: { mtimeNs: '-1750000000' }, hasAttribute: false },
      { hasAttribute: true },
      { mark: { mtimeNs: '1893553445678901234' }, hasAttribute: false },
    ]);
    for (const file of files) file[Symbol.dispose]();
  });

  it('maps each, and what was still to be written has its place', () => {
    makeFragmented(mount, ['four', 'dirty', 'two'], { sizeBytes: 32 * KIB });
    const writer = openSync(mount.path('dirty'), 'r+');
    writeSync(writer, Buffer.alloc(64 * KIB, 1), 0, 64 * KIB, 32 * KIB);
    const files = openNames(['four', 'dirty', 'two']);
    const maps = flushAndMapFiles(files);
    const expected = files.map((file) => [...fileMappings(file, WHOLE)]);
    expect(maps.map((map) => (map instanceof KernelCallError ? map : [...map]))).toEqual(expected);
    expect(fragmentCount(mount.path('four'))).toBeGreaterThan(1);
    const flags = expected[1]?.filter((_, index) => index % 4 === 3) ?? [];
    const delayed = 0x4;
    expect(flags.some((flag) => (flag & delayed) !== 0)).toBe(false);
    for (const file of files) file[Symbol.dispose]();
    closeSync(writer);
  });
});
