/**
 * What is said of a file after its move is of its new place. Btrfs writes a file's pages first, and a
 * worker of the kernel has the file refer to them later, when no transaction is just being committed:
 * so commits are made beside the moves, as fast as they go.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { fragmentCount, makeFragmented } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { move, waitForClock } from '../support/move-lab.js';

/** Before the kernel was waited for, 1 to 5 of 200 were told wrong. */
const FILE_COUNT = 300;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('files moved on %s beside commits', (fsType) => {
  it('have the fragments that the outcome of their move says', async () => {
    using mount = new LoopMount(fsType, { sizeBytes: 1024 * MIB });
    const names = Array.from({ length: FILE_COUNT }, (_, n) => `file-${n}`);
    makeFragmented(mount, names, { sizeBytes: 64 * KIB });
    waitForClock();

    const committer = commitForEver(mount);
    const outcomes = names.map((name) => move(mount, [name], { verify: false })[0]);
    await end(committer);

    const told = outcomes.map((one) => (one?.kind === 'moved' ? one.fragmentsAfter : one));
    expect(told).toEqual(names.map((name) => fragmentCount(mount.path(name))));
    expect(told).toEqual(names.map(() => 1));
  });
});

function commitForEver({ mountPath }: LoopMount): ChildProcess {
  const script = 'while :; do for i in {1..50}; do : > new-$RANDOM; done; sync -f .; done';
  // A group of its own: bash and the sync that it waits for.
  return spawn('bash', ['-c', script], { cwd: mountPath, detached: true, stdio: 'ignore' });
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'close');
  process.kill(-(child.pid ?? 0), 'SIGKILL');
  await ended;
}
