/**
 * A device that hangs answers no call, and no signal ends one. The agent waits for it only so long: its
 * pages answer, its other pools go on, commands say which disk it is, and what the disk missed is written
 * once it answers again.
 */

import { expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { beginRun, makeLab, register, until, untilOver, withAgent } from '../support/agent-lab.js';
import { runCommand } from '../support/agent-process.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import {
  closePool,
  content,
  expectSound,
  inventory,
  makeDevice,
  makePool,
  openPool,
  putFiles,
} from '../support/pool-fixture.js';

const TIMEOUT_S = 2;
const ENV = { DYNAMICFS_DISK_TIMEOUT_S: String(TIMEOUT_S) };

it.skipIf(!canFault)(
  'the agent goes on without a device that hangs, says so, and takes it back',
  async () => {
    await using fault = await FaultDisk.start(64 * MIB);
    const device = makeDevice({ imagePath: fault.imagePath });
    const other = await makeLab({ objectCount: 2 });
    const pool = await makeHangingPool(device.path);
    register(other.stateDirectory, pool);
    const before = await inventory(pool);
    try {
      await withAgent({ env: { ...other.env, ...ENV } }, async (agent) => {
        const httpUrl = agent.url();
        await until('the agent has the pool', () => pool.context.store.owner.read() !== null);
        fault.hang();
        await until('it is noticed', () => healthOf(pool).reason === 'it does not answer');

        const page = await fetch(`${httpUrl}/healthz`);
        expect(page.status).toBe(200);
        const metrics = await (await fetch(`${httpUrl}/metrics`)).text();
        expect(metrics).toMatch(/dynamicfs_disk_online\{.*\} 0/);
        await expectCommandsAnswer(pool, other.env, device.path);
        const { runId } = beginRun(other.pool);
        expect(await untilOver(other.pool, runId)).toMatchObject({ state: 'completed' });
        // The disk's journal has to do without this.
        const removed = await runCommand(['rm', 'gone', '--pool', pool.path], other.env);
        expect(removed).toMatchObject({ code: 0 });

        fault.goOn();
        await until('it counts again', () => healthOf(pool).state === 'healthy');
        await until('its journal is whole', () => !pool.context.store.disks.get(1)?.journalStale);
      });
    } finally {
      fault.goOn();
    }
    const again = openPool(pool.path);
    const { gone: _, ...kept } = before;
    expect(await inventory(again)).toEqual(kept);
    expectSound(again);
    await closePool(again);
    await closePool(pool);
    device.detach();
  },
);

/** Both objects have a copy on the device and one in a directory. */
async function makeHangingPool(devicePath: string): Promise<ExtentPool> {
  const pool = makePool({ diskCount: 0, extentBytes: MIB, replicaCount: 2 });
  pool.addDisk(devicePath);
  pool.addDisk(`${pool.path}-directory`, { capacityBytes: 64 * MIB });
  await putFiles(pool, { kept: content('kept', 2 * MIB), gone: content('gone', MIB) });
  return pool;
}

function healthOf({ context }: ExtentPool) {
  return context.store.health.get(1);
}

async function expectCommandsAnswer(
  { path }: ExtentPool,
  env: NodeJS.ProcessEnv,
  devicePath: string,
): Promise<void> {
  for (const args of [['status'], ['ls'], ['get', 'kept', '-']]) {
    expect(await runCommand([...args, '--pool', path], env)).toMatchObject({ code: 0 });
  }
  const list = await runCommand(['disk', 'list', '--pool', path, '--json'], env);
  const [hanging, well] = JSON.parse(list.stdout).disks;
  expect(hanging).toMatchObject({ path: devicePath, condition: 'missing' });
  expect(well).toMatchObject({ condition: 'online' });
  const health = await runCommand(['disk', 'health', '--pool', path], env);
  expect(health.stdout).toContain('it does not answer');
}
