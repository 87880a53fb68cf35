/** What `--path` may name: no link below the mount is followed, whoever put it there. */

import { mkdirSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type FsMount, mountAt } from '../../src/pool/fs-pool/detect.js';
import { subtreeOf } from '../../src/pool/fs-pool/subtree.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

function withMount(body: (mount: FsMount, loop: LoopMount) => void): void {
  using loop = new LoopMount('ext4');
  mkdirSync(loop.path('home/tree'), { recursive: true });
  mkdirSync(loop.path('other'));
  const mount = mountAt(loop.mountPath);
  if (!mount) throw new Error('nothing is mounted');
  body(mount, loop);
}

describe.skipIf(!canMount)('the path that a run is limited to', () => {
  it('is taken absolute, or from the mount; the mount itself is no limit', () => {
    withMount((mount, loop) => {
      expect(subtreeOf(mount, loop.path('home/tree'))).toBe('home/tree');
      expect(subtreeOf(mount, 'home/tree/../tree')).toBe('home/tree');
      expect(subtreeOf(mount, loop.mountPath)).toBeNull();
    });
  });

  it('may lead over links to the mount, which are not of its users, but to no place in it', () => {
    withMount((mount, loop) => {
      const outside = tempDirectory('links');
      symlinkSync(loop.mountPath, `${outside}/data`);
      symlinkSync(loop.path('home'), `${outside}/home`);
      expect(subtreeOf(mount, `${outside}/data/home/tree`)).toBe('home/tree');
      expect(subtreeOf(mount, `${outside}/data`)).toBeNull();
      expect(() => subtreeOf(mount, `${outside}/home/tree`)).toThrow(
        /leads through a symbolic link/,
      );
    });
  });

  it.each(['other', '', 'home'])(
    'may be no link that its owner turned to "%s" of the pool',
    (to) => {
      withMount((mount, loop) => {
        symlinkSync(loop.path(to), loop.path('home/tree/link'));
        mkdirSync(loop.path(to, 'sub'));
        for (const path of ['home/tree/link', 'home/tree/link/sub']) {
          expect(() => subtreeOf(mount, path)).toThrow(/leads through a symbolic link/);
        }
      });
    },
  );

  it('lies in the pool: not above it, not elsewhere, not where there is nothing', () => {
    withMount((mount, loop) => {
      symlinkSync('/tmp', loop.path('home/link'));
      expect(() => subtreeOf(mount, '..')).toThrow(/is not in the file system/);
      expect(() => subtreeOf(mount, '/proc')).toThrow(/is not in the file system/);
      expect(() => subtreeOf(mount, 'home/link')).toThrow(/is not in the file system/);
      expect(() => subtreeOf(mount, 'nothing')).toThrow(/cannot find|no such/i);
    });
  });
});
