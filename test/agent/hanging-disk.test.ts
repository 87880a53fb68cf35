/**
 * A device that hangs answers no call, and no signal ends one. The agent waits for it only so long: its
 * pages answer, its other pools go on, so do runs on other disks of the pool, commands say which disk it
 * is, and what the disk missed is written once it answers again. Neither a command nor `agent stop` waits
 * for it either.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { beginScrub } from '../../src/cli/scrub-control.js';
import { MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import {
  beginRun,
  makeLab,
  makeNode,
  register,
  until,
  untilOver,
  withAgent,
} from '../support/agent-lab.js';
import { runCommand, spawnAgent } from '../support/agent-process.js';
import { canFault } from '../support/fault-disk.js';
import { HANGING, HangingPool } from '../support/hanging-pool.js';
import { content, expectSound, inventory } from '../support/pool-fixture.js';

const TIMEOUT_S = 2;
const ENV = { DYNAMICFS_DISK_TIMEOUT_S: String(TIMEOUT_S) };
/** Several times what is waited for a disk, and for a machine that is busy. */
const COMMAND_MS_MAX = 60_000;
const NO_ANSWER = 'it does not answer';

it.skipIf(!canFault)(
  'the agent goes on without a device that hangs, says so, and takes it back',
  async () => {
    const other = await makeLab({ objectCount: 2 });
    await using lab = await makeHangingPool();
    const { pool, device } = lab;
    register(other.stateDirectory, pool);
    const before = await inventory(pool);
    try {
      await withAgent({ env: { ...other.env, ...ENV } }, async (agent) => {
        const httpUrl = agent.url();
        await until('the agent has the pool', () => pool.context.store.owner.read() !== null);
        lab.hang();
        await until('it is noticed', () => healthOf(pool).reason === NO_ANSWER);

        const page = await fetch(`${httpUrl}/healthz`);
        expect(page.status).toBe(200);
        const metrics = await (await fetch(`${httpUrl}/metrics`)).text();
        expect(metrics).toMatch(/dynamicfs_disk_online\{.*\} 0/);
        await expectCommandsAnswer(pool, other.env, device.path);
        const health = await runCommand(['disk', 'health', '--pool', pool.path], other.env);
        expect(health.stdout).toContain(NO_ANSWER);
        const { runId } = beginRun(other.pool);
        expect(await untilOver(other.pool, runId)).toMatchObject({ state: 'completed' });
        // The disk's journal has to do without this.
        const removed = await runCommand(['rm', 'gone', '--pool', pool.path], other.env);
        expect(removed).toMatchObject({ code: 0 });

        lab.goOn();
        await until('it counts again', () => healthOf(pool).state === 'healthy');
        await until('its journal is whole', () => !pool.context.store.disks.get(1)?.journalStale);
      });
    } finally {
      lab.goOn();
    }
    const again = await lab.reopen();
    const { gone: _, ...kept } = before;
    expect(await inventory(again)).toEqual(kept);
    expectSound(again);
  },
);

it.skipIf(!canFault)(
  'threads that wait for a device keep neither runs on other disks nor `agent stop`',
  async () => {
    await using lab = await makeHangingPool({ directoryCount: 2 });
    const { pool, device } = lab;
    const node = makeNode({ ...ENV, DYNAMICFS_DEGRADED_AFTER_S: '1' });
    register(node.stateDirectory, pool);
    const before = await inventory(pool);
    const agent = spawnAgent(node.env);
    try {
      await agent.ready();
      await until('the agent has the pool', () => pool.context.store.owner.read() !== null);
      lab.hang();
      scrub(pool);
      await until('the tasks on it are given up', () =>
        agent.log().some(({ msg, error }) => msg === 'job failed' && isNoAnswer(error)),
      );
      // All that has a copy on it gets another one, on the second directory, from the first.
      await until('there are other copies', () => copiesOnDisk(pool, 3) === 3);
      await expectCommandsAnswer(pool, node.env, device.path);

      await expectStopped(node.env, device.path);
      const after = await runCommand(['get', 'kept', '-', '--pool', pool.path], node.env);
      expect(after).toMatchObject({ code: 0 });
    } finally {
      lab.goOn();
      await agent.stop();
    }
    expect(await agent.ended()).toMatchObject({ code: 0 });
    const again = await lab.reopen();
    expect(await inventory(again)).toEqual(before);
    expect(again.audit().problems).toEqual([]);
  },
);

it.skipIf(!canFault)(
  '`agent stop` ends before anybody has noticed that a device hangs',
  async () => {
    await using lab = await makeHangingPool();
    const { pool, device } = lab;
    const node = makeNode(ENV);
    register(node.stateDirectory, pool);
    const before = await inventory(pool);
    const agent = spawnAgent(node.env);
    try {
      await agent.ready();
      await until('the agent has the pool', () => pool.context.store.owner.read() !== null);
      lab.hang();
      scrub(pool);
      await until('its threads wait for it', () => waitsForDisk(agent.pid));
      await expectStopped(node.env, device.path);
    } finally {
      lab.goOn();
      await agent.stop();
    }
    const again = await lab.reopen();
    expect(await inventory(again)).toEqual(before);
    expectSound(again);
  },
);

it.skipIf(!canFault)('commands answer while no agent runs that could notice', async () => {
  await using lab = await makeHangingPool();
  const { pool, device } = lab;
  const node = makeNode(ENV);
  lab.hang();
  await expectCommandsAnswer(pool, node.env, device.path);
  const removed = await runCommand(['rm', 'gone', '--pool', pool.path], node.env);
  expect(removed).toMatchObject({ code: 0 });
  const added = await runCommand(
    ['disk', 'add', '--device', device.path, '--pool', pool.path],
    node.env,
  );
  expect(added.code).not.toBe(0);

  lab.goOn();
  const again = await lab.reopen();
  expect(Object.keys(await inventory(again))).toEqual(['kept']);
  expectSound(again);
});

/** Both objects have a copy on the device and one in a directory. */
function makeHangingPool(shape: { directoryCount?: number } = {}): Promise<HangingPool> {
  return HangingPool.make({ kept: content('kept', 2 * MIB), gone: content('gone', MIB) }, shape);
}

function healthOf({ context }: ExtentPool) {
  return context.store.health.get(HANGING);
}

function scrub(pool: ExtentPool) {
  const intent = { repair: false, intensity: 'high', threadCount: 2, fromStart: true } as const;
  return beginScrub(pool, null, intent).run;
}

/** Whether a thread of a process is, for long, in a call that no signal ends. */
async function waitsForDisk(pid: number): Promise<boolean> {
  const before = waitingThreads(pid);
  await sleep(500);
  return waitingThreads(pid).some((thread) => before.includes(thread));
}

/** Source: proc(5), /proc/PID/task/TID/stat. */
function waitingThreads(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).filter((thread) => {
    const path = `/proc/${pid}/task/${thread}/stat`;
    if (!existsSync(path)) return false;
    const stat = readFileSync(path, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('D');
  });
}

function isNoAnswer(error: unknown): boolean {
  return String(error).includes('does not answer');
}

function copiesOnDisk({ context: { store } }: ExtentPool, diskId: number): number {
  return store.extents.pageOnDisk(diskId, 0, 10).length;
}

async function expectCommandsAnswer(
  { path }: ExtentPool,
  env: NodeJS.ProcessEnv,
  devicePath: string,
): Promise<void> {
  const limited = { ...env, ...ENV };
  const beganAtMs = performance.now();
  for (const args of [['status'], ['ls'], ['get', 'kept', '-']]) {
    expect(await runCommand([...args, '--pool', path], limited)).toMatchObject({ code: 0 });
  }
  const list = await runCommand(['disk', 'list', '--pool', path, '--json'], limited);
  const [hanging, well] = JSON.parse(list.stdout).disks;
  expect(hanging).toMatchObject({ path: devicePath, condition: 'missing' });
  expect(well).toMatchObject({ condition: 'online' });
  expect(performance.now() - beganAtMs).toBeLessThan(COMMAND_MS_MAX);
}

async function expectStopped(env: NodeJS.ProcessEnv, devicePath: string): Promise<void> {
  const beganAtMs = performance.now();
  const stopped = await runCommand(['agent', 'stop'], env);
  expect(stopped).toMatchObject({ code: 0, stdout: expect.stringContaining('Agent stopped') });
  expect(stopped.stderr).toContain(`${devicePath} does not answer`);
  expect(performance.now() - beganAtMs).toBeLessThan(COMMAND_MS_MAX);
}
