/**
 * Runs on mounted file systems that are stopped, killed, or lose their mount under them.
 *
 * Whatever happens, every file has its content, and no donor is left over.
 */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { Run } from '../../src/domain/runs.js';
import { KIB } from '../../src/domain/units.js';
import { fsPoolDirectory } from '../../src/pool/fs-pool/context.js';
import { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { Registry } from '../../src/store/registry.js';
import { until } from '../support/agent-lab.js';
import { type AgentProcess, spawnAgent } from '../support/agent-process.js';
import { problemsOf } from '../support/check-file-system.js';
import { CliNode } from '../support/cli-run.js';
import { makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { content } from '../support/pool-fixture.js';

const node = new CliNode();
afterAll(() => node.stop());

/**
 * Groups of 16 at low intensity, and a rest four times as long: there is a middle to interfere in. Small
 * files, since a group and its rest take as long as their bytes.
 */
const FILE_COUNT = 64;
const FILE_BYTES = 128 * KIB;
const SLOWLY = ['--once', '--intensity', 'low', '--min-age', '0'];
/** Kills of one run: while moves are under way, and after a group was done, in its rest or the next group. */
const KILLS = ['moving', 'after a group', 'moving'] as const;
const KILL_MS_MAX = 200;
/** A group may end at the moment of its kill. */
const KILL_TRIES_MAX = 3;
const QUICKLY = ['--once', '--intensity', 'high', '--min-age', '0', '--wait'];

interface Worn extends Disposable {
  readonly mount: LoopMount;
  readonly flags: string[];
  readonly manifest: Record<string, string>;
}

async function wornMount(fsType: LoopMount['fsType'], fileCount = FILE_COUNT): Promise<Worn> {
  const mount = new LoopMount(fsType);
  makeFiles(mount, fileCount, FILE_BYTES);
  const manifest = sha256Manifest(mount.mountPath);
  const flags = ['--pool', mount.mountPath];
  await node.json('init', flags);
  return { mount, flags, manifest, [Symbol.dispose]: () => mount.remove() };
}

/** What SQLite has: a command for each look would take the processor from the agent. */
async function withStore<T>({ mount }: Worn, use: (store: FsPoolStore) => T): Promise<Awaited<T>> {
  const registry = new Registry(node.stateDirectory);
  const [registered] = registry.fileSystemsAt(mount.mountPath);
  registry.close();
  if (!registered) throw new Error('not registered');
  const directory = fsPoolDirectory(node.stateDirectory, registered.poolId);
  const store = new FsPoolStore(join(directory, 'pool.sqlite'), { readonly: true });
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

function untilRun(worn: Worn, what: string, is: (run: Run) => boolean): Promise<Run> {
  return withStore(worn, (store) =>
    until(what, () => {
      const run = store.runs.last('defrag');
      return run && is(run) ? run : null;
    }),
  );
}

function untilMoved(worn: Worn, count: number): Promise<Run> {
  return untilRun(worn, `${count} files were moved`, (run) => run.progress.doneCount >= count);
}

/** What a killed agent left: its run, and the donors that its open intents name. */
interface Cut {
  readonly run: Run;
  readonly donors: readonly string[];
}

interface Kill {
  readonly worn: Worn;
  /** What the last kill left. */
  readonly before: Cut;
  readonly delayMs: number;
}

function cutOf(worn: Worn): Promise<Cut> {
  return withStore(worn, (store) => {
    const run = store.runs.last('defrag');
    if (!run) throw new Error('no run');
    return { run, donors: openDonors(store) };
  });
}

/** One for each open intent, on ext4 the same for a group; no two groups have the same. */
function openDonors({ intents }: FsPoolStore): string[] {
  return intents.all().map(({ intent }) => intent.donor?.name ?? 'none');
}

/** The next agent settles what the last one left before it moves anything else. */
async function expectSettled(agent: AgentProcess, { donors }: Cut): Promise<void> {
  if (donors.length === 0) return;
  const line = await until('it has settled', () =>
    agent.log().find(({ msg }) => msg === 'settled what was left half done'),
  );
  expect(line).toMatchObject({ intentCount: donors.length, openCount: 0 });
}

/** Kills the agent while moves are under way that no earlier one began. */
async function killWhileMoving(agent: AgentProcess, { worn, before, delayMs }: Kill): Promise<Cut> {
  let victim = agent;
  let cut = before;
  for (let tries = 0; tries < KILL_TRIES_MAX; tries += 1) {
    await withStore(worn, (store) =>
      until('moves are under way', () => {
        const donors = openDonors(store);
        return donors.length > 0 && !donors.some((name) => cut.donors.includes(name));
      }),
    );
    await sleep(delayMs);
    await victim.kill();
    await expectSettled(victim, cut);
    cut = await cutOf(worn);
    if (cut.donors.length > 0) return cut;
    victim = spawnAgent(node.env);
  }
  throw new Error(`no kill of ${KILL_TRIES_MAX} met an open intent`);
}

async function killAfterGroup(agent: AgentProcess, { worn, before, delayMs }: Kill): Promise<Cut> {
  await untilMoved(worn, before.run.progress.doneCount + 1);
  await sleep(delayMs);
  await agent.kill();
  await expectSettled(agent, before);
  return await cutOf(worn);
}

/** A worker may have a file open at this moment. */
async function unmountBetween(mount: LoopMount): Promise<void> {
  await until('it can be unmounted', () => attempt(() => mount.unmount()));
}

/** Between two mounts of it. */
async function expectClean(mount: LoopMount): Promise<void> {
  await unmountBetween(mount);
  const problems = problemsOf(mount.fsType, mount.devicePath);
  mount.mount();
  expect(problems).toBeNull();
}

function attempt(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}

async function expectWhole({ mount, flags, manifest }: Worn): Promise<void> {
  const now = sha256Manifest(mount.mountPath);
  expect(now).toEqual(manifest);
  expect(Object.keys(now).filter((path) => path.includes('.dynamicfs'))).toEqual([]);
  expect(await node.json('status', flags)).toMatchObject({ openMoveCount: 0 });
}

/** @returns which run that was. */
async function finish(worn: Worn): Promise<number | undefined> {
  const started = await node.json('defrag start', [...worn.flags, ...QUICKLY]);
  if (started.dryRun) throw new Error('expected a run');
  expect(started.run).toMatchObject({ state: 'completed', failedCount: 0 });
  await expectWhole(worn);
  return started.run?.runId;
}

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a run on a mounted %s', (fsType) => {
  it('stops and pauses in the middle, and goes on', async () => {
    using worn = await wornMount(fsType);
    await node.json('defrag start', [...worn.flags, ...SLOWLY]);
    await untilMoved(worn, 1);
    const paused = await node.json('defrag pause', worn.flags);
    expect(paused).toMatchObject({ running: true, paused: true });
    await node.json('defrag resume', worn.flags);
    await untilMoved(worn, (paused.run?.doneCount ?? 0) + 1);
    const stopped = await node.json('defrag stop', worn.flags);
    expect(stopped.run?.state).toBe('stopped');
    expect(stopped.run?.doneCount).toBeLessThan(FILE_COUNT);
    await finish(worn);
  });

  it('goes on after its agents were killed at three moments', async () => {
    // As many as the kills could use up, each try another group.
    using worn = await wornMount(fsType, 2 * FILE_COUNT);
    const { mount, flags, manifest } = worn;
    await node.stop();
    let agent = spawnAgent(node.env);
    await agent.ready();
    const started = await node.json('defrag start', [...flags, ...SLOWLY]);
    if (started.dryRun) throw new Error('expected a run');
    let before: Cut = { run: await untilRun(worn, 'there is a run', () => true), donors: [] };
    for (const [index, moment] of KILLS.entries()) {
      const delayMs = (content(`kill ${index} on ${fsType}`, 1)[0] ?? 0) % KILL_MS_MAX;
      const kill = moment === 'moving' ? killWhileMoving : killAfterGroup;
      before = await kill(agent, { worn, before, delayMs });
      // The next agent goes on with the run of the last one, as nobody ended it.
      expect(before.run).toMatchObject({ runId: started.run?.runId, endedAtMs: null });
      if (index < KILLS.length - 1) agent = spawnAgent(node.env);
    }
    expect(before.donors).not.toEqual([]);
    await expectClean(mount);
    // Its donors are still there.
    expect(sha256Manifest(mount.mountPath)).toMatchObject(manifest);
    agent = spawnAgent(node.env);
    await expectSettled(agent, before);
    expect(await finish(worn)).toBe(started.run?.runId);
    await expectClean(mount);
    await expectWhole(worn);
  });

  it('waits while the file system is not mounted', async () => {
    using worn = await wornMount(fsType);
    const { mount, flags } = worn;
    await node.json('defrag start', [...flags, ...SLOWLY]);
    const { runId } = await untilMoved(worn, 1);
    await unmountBetween(mount);
    expect(await node.json('status', flags)).toMatchObject({ condition: 'missing' });
    const refused = await node.jsonFailure(['defrag', 'start', ...flags]);
    expect(refused).toMatchObject({ code: 'ERR_DISK_UNAVAILABLE' });
    mount.mount();
    // The same run, which takes the new pace.
    expect(await finish(worn)).toBe(runId);
  });

  it('ends with the reason when the file system becomes read-only', async () => {
    using worn = await wornMount(fsType);
    const { mount, flags } = worn;
    await node.json('defrag start', [...flags, ...SLOWLY]);
    await untilMoved(worn, 1);
    const remount = (option: string) =>
      execFileSync('mount', ['-o', `remount,${option}`, mount.mountPath], { stdio: 'pipe' });
    await until('it is read-only', () => attempt(() => remount('ro')));
    await untilRun(worn, 'the run is over', ({ endedAtMs }) => endedAtMs !== null);
    const { running, run } = await node.json('defrag status', flags);
    expect(running).toBe(false);
    expect(run).toMatchObject({ state: 'failed', error: { code: 'ERR_PERMISSION' } });
    remount('rw');
    await finish(worn);
  });
});
