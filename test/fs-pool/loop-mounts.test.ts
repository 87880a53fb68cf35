/** The file systems that the other tests of this directory work on: made, used and gone again. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';

describe.skipIf(!canMount)('a loop mount', () => {
  it.each(LOOP_FS_TYPES)('of %s holds files over a remount and leaves nothing', (fsType) => {
    const mount = new LoopMount(fsType);
    try {
      writeFileSync(mount.path('file'), 'content');
      mount.remount(['ro']);
      expect(readFileSync(mount.path('file'), 'utf8')).toBe('content');
      expect(() => writeFileSync(mount.path('file'), 'other')).toThrow('EROFS');
    } finally {
      mount.remove();
    }
    const backing = `/sys/block/${basename(mount.devicePath)}/loop/backing_file`;
    const attached = existsSync(backing) ? readFileSync(backing, 'utf8').trim() : null;
    expect(mount.imagePaths).not.toContain(attached);
    expect(existsSync(mount.imagePaths[0] ?? '')).toBe(false);
  });
});
