/** The order in which a run is handed files of a real file system. */

import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inInodeOrder } from '../../src/domain/move-order.js';
import { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { handleOfPath } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

describe.skipIf(!canMount)('the files of a mount', () => {
  it.each(LOOP_FS_TYPES)('of %s come in the order of their inodes', (fsType) => {
    using mount = new LoopMount(fsType);
    const names = Array.from({ length: 300 }, (_, index) => `file-${(index * 7) % 300}`);
    for (const name of names) writeFileSync(mount.path(name), '');
    const files = names
      .toSorted()
      .map((name) => ({ handle: handleOfPath(mount.path(name)), path: mount.path(name) }));
    const inodes = inInodeOrder(files).map(({ path }) => statSync(path).ino);
    expect(inodes).toEqual(inodes.toSorted((a, b) => a - b));
  });
});

it('hot files go first, then the worst, then the others as they were found', () => {
  const store = new FsPoolStore(join(tempDirectory('order'), 'pool.sqlite'), { create: true });
  const file = (handle: string, tierRank: number, gainClass: number) => ({
    ...{ handle, tierRank, gainClass, allocatedBytes: 4096, fragmentCount: 2 },
  });
  const runId = store.runs.insert({
    kind: 'defrag',
    trigger: 'manual',
    intensity: 'high',
    threadCount: 2,
    diskId: null,
    secureErase: false,
    startedAtMs: Date.now(),
    plannedCount: 0,
    plannedBytes: 0,
  });
  store.candidates.add(runId, [file('b', 0, 0), file('d', 1, 2), file('c', 0, 0), file('a', 0, 1)]);
  const handles = store.candidates.pending(runId, 10).map(({ handle }) => handle);
  expect(handles).toEqual(['a', 'b', 'c', 'd']);
  store.close();
});
