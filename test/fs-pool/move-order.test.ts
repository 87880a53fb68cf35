/** The order in which a run is handed the files of a real file system. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeScanControl } from '../../src/domain/file-scan.js';
import { KIB } from '../../src/domain/units.js';
import { FsPool } from '../../src/pool/fs-pool/fs-pool.js';
import { registerMount } from '../../src/pool/fs-pool/register.js';
import { scanForRun } from '../../src/pool/fs-pool/run-files.js';
import { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { handleOfPath, makeFragmented } from '../support/fragmented-files.js';
import { beginRun } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

/** Pieces of the files, in the order of their inodes: about as bad, but for one. */
const PIECE_COUNTS = [3, 9, 5, 40, 2, 7];
const WORST = 3;

describe.skipIf(!canMount)('a run', () => {
  it.each(LOOP_FS_TYPES)('on %s takes the worst file, then inodes in order', async (fsType) => {
    using mount = new LoopMount(fsType);
    for (const [index, count] of PIECE_COUNTS.entries()) {
      makeFragmented(mount, [`file-${index}`], { sizeBytes: count * 8 * KIB });
    }
    const stateDirectory = tempDirectory('order');
    const { registered } = registerMount(stateDirectory, mount.mountPath, Date.now());
    const pool = FsPool.open(stateDirectory, registered, { threadCount: 2 });
    try {
      const { store } = pool.context;
      pool.context.ownerEpoch = store.owner.acquire('test', Date.now());
      const run = store.runs.get(beginRun(store));
      if (!run) throw new Error('expected a run');
      await scanForRun(pool.context, run, makeScanControl());
      const names = new Map(
        PIECE_COUNTS.map((_, index) => [handleOfPath(mount.path(`file-${index}`)), index]),
      );
      const taken = store.candidates
        .pending(run.runId, 100)
        .flatMap(({ handle }) => names.get(handle) ?? []);
      const inodeOf = (index: number) => statSync(mount.path(`file-${index}`)).ino;
      const others = [...names.values()]
        .filter((index) => index !== WORST)
        .sort((a, b) => inodeOf(a) - inodeOf(b));
      expect(taken).toEqual([WORST, ...others]);
    } finally {
      await pool.close();
    }
  });
});

it('hot files go first, then the worst, then the others as they were found', () => {
  const store = new FsPoolStore(join(tempDirectory('order'), 'pool.sqlite'), { create: true });
  const file = (handle: string, tierRank: number, gainClass: number) => ({
    ...{ handle, tierRank, gainClass, allocatedBytes: 4096, fragmentCount: 2 },
  });
  const runId = beginRun(store);
  store.candidates.add(runId, [file('b', 0, 0), file('d', 1, 2), file('c', 0, 0), file('a', 0, 1)]);
  const handles = store.candidates.pending(runId, 10).map(({ handle }) => handle);
  expect(handles).toEqual(['a', 'b', 'c', 'd']);
  store.close();
});
