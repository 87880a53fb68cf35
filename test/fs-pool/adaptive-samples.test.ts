/** What adaptive mode learns of a real device: the load of others in each hour, and not our own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { alignedBuffer } from '../../src/kernel/aligned-buffer.js';
import { readFully } from '../../src/kernel/file-io.js';
import { FsPool } from '../../src/pool/fs-pool/fs-pool.js';
import { FsPoolGround } from '../../src/pool/fs-pool/reclamation-ground.js';
import { registerMount } from '../../src/pool/fs-pool/register.js';
import { beginWanted } from '../../src/processors/begin-wanted.js';
import { openReplica } from '../../workers/replica-io.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';
import { tempDirectory } from '../support/temp-directory.js';

const HOUR_MS = 60 * 60 * 1000;
const MINUTE_MS = 60_000;
/** Monday, 00:00 UTC. */
const MONDAY_MS = Date.UTC(2026, 10, 30);
const TICKS_PER_HOUR = 24;
const READ_BYTES = 32 * MIB;
/** Long enough for the device's count of busy time, which is in ticks of the kernel. */
const LOOK_MS = 20;
/** Reads as much, past the cache, for each byte that it is sent. */
const READER = `
import mmap, os, sys
memory = mmap.mmap(-1, ${READ_BYTES})
device = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
while os.read(0, 1):
    os.preadv(device, [memory], 0)
    os.write(1, b'.')
`;

describe.skipIf(!canMount)('on a real device adaptive mode', () => {
  it('learns the hours in which others were at work, and does not take our own work for theirs', async () => {
    using mount = new LoopMount('ext4');
    const stateDirectory = tempDirectory('adaptive');
    let nowMs = MONDAY_MS;
    const { registered } = registerMount(stateDirectory, mount.mountPath, nowMs);
    const pool = FsPool.open(stateDirectory, registered, { clock: () => nowMs });
    using device = openReplica(mount.devicePath, 'read', true);
    const buffer = alignedBuffer(READ_BYTES);
    const { store } = pool.context;
    store.policies.set({ preset: 'conservative', overrides: { adaptive: true } }, nowMs, 'test');
    const hour = async (work: () => unknown) => {
      for (let tick = 0; tick < TICKS_PER_HOUR; tick += 1) {
        await work();
        await sleep(LOOK_MS);
        beginWanted(new FsPoolGround(pool.context));
        nowMs += HOUR_MS / TICKS_PER_HOUR;
      }
    };
    // What a child of ours did would count as ours once it was waited for.
    const others = spawn('python3', ['-c', READER, mount.devicePath]);
    const answers = others.stdout[Symbol.asyncIterator]();
    const othersWork = async () => {
      others.stdin.write('.');
      await answers.next();
    };
    const ourselves = () => readFully(device.file, buffer, 0);
    await hour(othersWork);
    await hour(() => {});
    await hour(ourselves);
    nowMs += MINUTE_MS;
    beginWanted(new FsPoolGround(pool.context));

    const [busy, quiet, own, unseen] = store.loadHours.week();
    expect(busy?.loadRatio).toBeGreaterThan(0.05);
    expect(quiet?.loadRatio).toBeLessThan(0.02);
    expect(own?.loadRatio).toBeLessThan((busy?.loadRatio ?? 0) / 4);
    expect([busy, quiet, own, unseen].map((known) => known?.weight)).toEqual([1, 1, 1, 0]);
    others.stdin.end();
    await once(others, 'close');
    await pool.close();
  });
});
