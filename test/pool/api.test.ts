/** What a TypeScript program gets from src/index.ts. */

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import * as api from '../../src/index.js';
import { checksum, content, expectSound } from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

it('writes, reads and deletes extents, and tells about disks and objects', async () => {
  const root = tempDirectory('api');
  const pool = api.ExtentPool.create(join(root, 'pool'), { extentBytes: MIB });
  try {
    const disk = pool.addDisk(join(root, 'disk'), { capacityBytes: 64 * MIB, tier: 'hot' });
    expect(disk).toMatchObject({ tier: 'hot', condition: 'online', problem: null });
    const data = content('api', 2 * MIB + 7);

    const extents = await pool.writeExtent('blob', data);
    expect(extents.map(({ sizeBytes }) => sizeBytes)).toEqual([MIB, MIB, 7]);
    const pieces = await Promise.all(extents.map(({ extentId }) => pool.readExtent(extentId)));
    expect(checksum(Buffer.concat(pieces))).toBe(checksum(data));
    expect(pool.metadata('blob')).toMatchObject({ kind: 'file', sizeBytes: data.length });
    expect(pool.metadata('none')).toBeNull();
    expect(pool.extents('blob').map(({ readCount }) => readCount)).toEqual([1, 1, 1]);

    const [first] = extents;
    expect(() => pool.deleteExtent(first?.extentId ?? 0)).toThrow('one of 3 of object "blob"');
    const [lone] = await pool.writeExtent('lone', data.subarray(0, 5));
    expect(pool.deleteExtent(lone?.extentId ?? 0)).toEqual({ objectCount: 1, freedBytes: 4096 });
    expect(pool.list().map(({ name }) => name)).toEqual(['blob']);
    await expect(pool.readExtent(lone?.extentId ?? 0)).rejects.toMatchObject({
      code: 'ERR_TARGET_NOT_FOUND',
    });
    expect(await pool.writeExtent('empty', new Uint8Array())).toEqual([]);
    expectSound(pool as never);
  } finally {
    await pool.close();
  }
});

it('maps a disk byte for byte, and finds it by path or by the beginning of its id', async () => {
  const root = tempDirectory('api');
  const pool = api.ExtentPool.create(join(root, 'pool'));
  try {
    const disk = pool.addDisk(join(root, 'disk'), { capacityBytes: 64 * MIB });
    await pool.writeExtent('blob', content(1, 3 * MIB));
    const { cells } = pool.map(disk.path, 16);
    const sum = cells.reduce((all, { bytes }) => all + bytes.contiguous, 0);
    expect(sum).toBe(3 * MIB);
    expect(pool.map(disk.uuid.slice(0, 8), 16)).toEqual(pool.map(disk.path, 16));
    const error = { code: 'ERR_TARGET_NOT_FOUND', nextStep: expect.stringContaining(disk.path) };
    expect(() => pool.map('nowhere', 16)).toThrow(expect.objectContaining(error));
  } finally {
    await pool.close();
  }
});
