/** Reading ahead: all that was asked for comes, though the kernel takes only so much of one advice. */

import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { readAhead } from '../../src/kernel/page-cache.js';
import { until } from '../support/agent-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';

const FILE_BYTES = 32 * MIB;
const SECTOR_BYTES = 512;
const READ_SECTORS = 2;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('reading ahead on %s', (fsType) => {
  it('asks the device for the whole run', async () => {
    using mount = new LoopMount(fsType);
    const path = mount.path('file');
    writeFileSync(path, Buffer.alloc(FILE_BYTES, 'content'));
    const written = openSync(path, 'r');
    fsyncSync(written);
    closeSync(written);
    mount.remount();
    const fd = openSync(path, 'r');
    try {
      const before = deviceReadBytes(mount);
      readAhead({ fd, path }, { startBytes: 0, lengthBytes: FILE_BYTES });
      await until('all was read', () => deviceReadBytes(mount) - before >= FILE_BYTES);
    } finally {
      closeSync(fd);
    }
    expect(readFileSync(path).equals(Buffer.alloc(FILE_BYTES, 'content'))).toBe(true);
  });
});

/** Source: Documentation/block/stat.rst. */
function deviceReadBytes({ devicePath }: LoopMount): number {
  const stat = readFileSync(`/sys/class/block/${basename(devicePath)}/stat`, 'utf8');
  return Number(stat.trim().split(/\s+/)[READ_SECTORS]) * SECTOR_BYTES;
}
