/**
 * A write to a disk's journal that is given up may still be done, late. Until it is, nobody uses the disk,
 * though it may answer everybody else; then its journal is written anew before anything else is.
 */

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { lateWriterOf, noteLateWrite } from '../../src/pool/extent-pool/late-writes.js';
import { HEADER_BYTES } from '../../src/pool/extent-pool/layout.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { until } from '../support/agent-lab.js';
import { canFault } from '../support/fault-disk.js';
import { HANGING, HangingPool } from '../support/hanging-pool.js';
import {
  closePool,
  content,
  expectSound,
  inventory,
  makePool,
  openPool,
  putFiles,
  reopenPool,
} from '../support/pool-fixture.js';
import { runOnPool } from '../support/run-on-pool.js';

const TIMEOUT_S = 1;
const LATE_MS = 6_000;
const BY_THIS_PROCESS = `a process (pid ${process.pid}) still waits for it`;

describe('a disk to which a write may come late', () => {
  it('is not used, and needs a journal of a new epoch once nothing can come any more', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2 });
    await putFiles(pool, { a: content('a', 100), b: content('b', 100) });
    const { uuid, path, epoch } = firstDisk(pool);
    const lock = noteLateWrite(pool.path, uuid);

    pool.remove('a');
    expect(pool.disks()).toMatchObject([
      { condition: 'missing', problem: `${path} is not used: ${BY_THIS_PROCESS}` },
      { condition: 'online' },
    ]);
    const again = await reopenPool(pool);
    expect(firstDisk(again)).toMatchObject({ epoch, isStale: true });
    expect(Object.keys(await inventory(again))).toEqual(['b']);

    lock.release();
    // Whoever had the pool open does not append to what nobody knows.
    again.remove('b');
    expect(firstDisk(again)).toMatchObject({ epoch, isStale: true });
    const last = await reopenPool(again);
    expect(firstDisk(last).epoch).not.toBe(epoch);
    expect(verifyDiskRecords(last.context, 1, { runId: 0, repair: false })).toBe('good');
    expect(existsSync(join(last.path, 'late'))).toBe(false);
  });

  it('keeps its old journal in a `recover`, which is written anew afterwards', async () => {
    const pool = makePool({ diskCount: 2, replicaCount: 2 });
    await putFiles(pool, { a: content('a', 100) });
    const disks = pool.disks().map(({ path }) => path);
    const { uuid } = firstDisk(pool);
    await closePool(pool);
    rmSync(join(pool.path, 'pool.sqlite'));

    const lock = noteLateWrite(pool.path, uuid);
    await recoverPool(pool.path, disks);
    const recovered = openPool(pool.path);
    expect(recovered.disks().map(({ condition }) => condition)).toEqual(['missing', 'online']);
    expect(firstDisk(recovered).isStale).toBe(true);
    lock.release();
    const again = await reopenPool(recovered);
    expect(firstDisk(again).isStale).toBe(false);
    expect(Object.keys(await inventory(again))).toEqual(['a']);
    expectSound(again);
  });

  it('is one again when the process that left it is gone without a trace', async () => {
    const pool = makePool({ diskCount: 1 });
    const { uuid, epoch } = firstDisk(pool);
    noteLateWrite(pool.path, uuid).release();
    expect(lateWriterOf(pool.path, uuid)).toEqual({ pid: null });
    const again = await reopenPool(pool);
    expect(firstDisk(again).epoch).not.toBe(epoch);
    expect(lateWriterOf(again.path, uuid)).toBeNull();
  });
});

describe.skipIf(!canFault)('a device on which a write to its journal hangs', () => {
  let lab: HangingPool;

  beforeEach(async () => {
    vi.stubEnv('DYNAMICFS_DISK_TIMEOUT_S', String(TIMEOUT_S));
    const [a, b] = [content('a', MIB), content('b', MIB)];
    lab = await HangingPool.make({ a, b, c: content('c', 100) });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await lab[Symbol.asyncDispose]();
  });

  it('is left alone by others although it answers them, until the write has come', async () => {
    const writer = await lab.reopen({ diskTimeoutMs: 1_000 * TIMEOUT_S });
    expect(writer.disks()[0]?.condition).toBe('online');
    await lab.delayNextRead(HEADER_BYTES, LATE_MS);
    expect(() => writer.remove('a')).toThrow(`${lab.device.path} does not answer`);
    expect(writer.metadata('a')).not.toBeNull();

    const other = openPool(writer.path);
    expect(other.disks()).toMatchObject([
      { condition: 'missing', problem: expect.stringContaining(BY_THIS_PROCESS) },
      { condition: 'online' },
    ]);
    other.remove('b');
    await closePool(other);

    const { uuid } = firstDisk(writer);
    await until('the write is back', () => lateWriterOf(writer.path, uuid)?.pid === null);
    const again = await lab.reopen();
    expect(again.disks()[0]?.condition).toBe('online');
    expect(verifyDiskRecords(again.context, HANGING, { runId: 0, repair: false })).toBe('good');
    const kept = await inventory(again);
    expect(Object.keys(kept)).toEqual(['a', 'c']);
    expectSound(again);

    await closePool(again);
    rmSync(join(again.path, 'pool.sqlite'));
    await recoverPool(again.path, [lab.device.path]);
    expect(await inventory(await lab.reopen())).toEqual(kept);
  });

  it('fails the command, which says so in time, and others name its process', async () => {
    const pool = await lab.reopen();
    const before = await inventory(pool);
    const command = runOnPool(pool.path, ['put', '-', '--name', 'empty']);
    const writers = join(pool.path, 'writers');
    await until('it has opened the pool', () => readdirSync(writers).length === 1);
    lab.hang();
    command.child.stdin?.end();
    await command.output();
    expect(command.stderr()).toContain(`Error: ${lab.device.path} does not answer`);
    expect(command.stderr()).toContain('Code: ERR_DISK_UNAVAILABLE');
    expect(pool.disks()[0]?.problem).toContain(`(pid ${command.child.pid}) still waits for it`);
    pool.remove('c');

    lab.goOn();
    expect(await command.exitCode()).toBe(25);
    const again = await lab.reopen();
    expect(again.disks()[0]?.condition).toBe('online');
    expect(verifyDiskRecords(again.context, HANGING, { runId: 0, repair: false })).toBe('good');
    const { c: _, ...kept } = before;
    expect(await inventory(again)).toEqual(kept);
    expectSound(again);
  });
});

function firstDisk({ context }: ExtentPool) {
  const disk = context.store.disks.get(1);
  if (!disk) throw new Error('no disk 1');
  return { ...disk, epoch: disk.journalEpoch, isStale: disk.journalStale };
}
