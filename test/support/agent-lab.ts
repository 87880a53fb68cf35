/**
 * A node with a real agent: a pool that is really fragmented, a state directory of its own, and
 * agents that can be started, stopped and killed.
 *
 * The tests watch the pool from their own process, through SQLite, as every command does. What an
 * agent may never break is checked by `expectIntact`: bytes, accounting and each replica on disk.
 */

import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { beginDefrag, type DefragIntent } from '../../src/cli/run-control.js';
import { WHOLE_SCOPE } from '../../src/domain/reclamation.js';
import type { Run } from '../../src/domain/runs.js';
import { type ByteRun, KIB, MIB } from '../../src/domain/units.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { Registry } from '../../src/store/registry.js';
import { checksumOf } from '../../workers/checksum.js';
import { type AgentProcess, spawnAgent } from './agent-process.js';
import {
  content,
  expectSound,
  fileEntry,
  fragmentFreeSpace,
  inventory,
  makePool,
} from './pool-fixture.js';
import { memoryDirectory } from './temp-directory.js';

const HOLE_BYTES = 256 * KIB;
const EXTENTS_PER_OBJECT = 3;

export interface LabShape {
  readonly diskCount?: number;
  readonly replicaCount?: number;
  /** Each of three extents of 1 MiB, in pieces of 256 KiB. */
  readonly objectCount?: number;
  /** By default, about what it takes to have every object in holes, and whole again. */
  readonly capacityBytes?: number;
}

export interface Lab {
  readonly pool: ExtentPool;
  readonly stateDirectory: string;
  /** What the agent and commands of this node are started with. */
  readonly env: NodeJS.ProcessEnv;
  /** SHA-256 of every object as it was stored. */
  readonly manifest: Readonly<Record<string, string>>;
}

/** A registered pool in which every object is in pieces, with room to make them whole. */
export async function makeLab(shape: LabShape = {}): Promise<Lab> {
  const { diskCount = 2, replicaCount = 2, objectCount = 4 } = shape;
  // What is put into holes is half of a disk at most; a filled disk is most of what a lab costs.
  const { capacityBytes = (12 + 2 * EXTENTS_PER_OBJECT * objectCount) * MIB } = shape;
  const pool = makePool({ diskCount, replicaCount, capacityBytes, extentBytes: MIB });
  await fragmentFreeSpace(pool, HOLE_BYTES);
  const entries = Array.from({ length: objectCount }, (_, n) =>
    fileEntry(`object/${n}`, content(`object ${n}`, EXTENTS_PER_OBJECT * MIB)),
  );
  const report = await pool.put(entries);
  expect(report.failed).toEqual([]);
  pool.remove('filler', true);
  expect(pool.analyze().fragmentationRatio).toBe(1);
  expect(candidateCount(pool)).toBe(objectCount * EXTENTS_PER_OBJECT * replicaCount);
  const node = makeNode();
  register(node.stateDirectory, pool);
  return { pool, ...node, manifest: await inventory(pool) };
}

/** A state directory and the environment of its agent and commands. */
export function makeNode(env: NodeJS.ProcessEnv = {}): Pick<Lab, 'stateDirectory' | 'env'> {
  // Short: the path of a Unix socket may have 107 bytes.
  const stateDirectory = memoryDirectory('s');
  return {
    stateDirectory,
    env: { DYNAMICFS_STATE_DIR: stateDirectory, DYNAMICFS_HTTP: '127.0.0.1:0', ...env },
  };
}

export function register(stateDirectory: string, pool: ExtentPool): void {
  const registry = new Registry(stateDirectory);
  registry.register({
    poolId: pool.id,
    path: pool.path,
    kind: 'extent',
    fileSystemUuid: null,
    registeredAtMs: Date.now(),
  });
  registry.close();
}

export function candidateCount(pool: ExtentPool): number {
  return pool.context.store.candidates.planFragmented(WHOLE_SCOPE).count;
}

/** Begins a run in SQLite, as `defrag start` does; the agent finds it there. */
export function beginRun(pool: ExtentPool, intent: Partial<DefragIntent> = {}): Run {
  const run = beginDefrag(pool, { intensity: 'high', threadCount: 1, once: true, ...intent });
  if (!run) throw new Error('nothing is fragmented');
  return run;
}

export function runOf(pool: ExtentPool, runId: number): Run {
  const run = pool.context.store.runs.get(runId);
  if (!run) throw new Error(`no run ${runId}`);
  return run;
}

/** Asks until the answer is truthy. Generous: the machine may be busy. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  timeoutMs = 150_000,
): Promise<NonNullable<T>> {
  const endAtMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > endAtMs) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(20);
  }
}

export async function untilOver(pool: ExtentPool, runId: number): Promise<Run> {
  await until(`run ${runId} is over`, () => runOf(pool, runId).endedAtMs !== null);
  return runOf(pool, runId);
}

export async function untilMoved(pool: ExtentPool, runId: number, count: number): Promise<Run> {
  await until(
    `run ${runId} has moved ${count}`,
    () => runOf(pool, runId).progress.doneCount >= count,
  );
  return runOf(pool, runId);
}

/** Starts an agent of the lab; `use` gets it ready, and afterwards it is drained. */
export async function withAgent<T>(
  lab: Pick<Lab, 'env'>,
  use: (agent: AgentProcess) => Promise<T>,
  env: NodeJS.ProcessEnv = {},
): Promise<T> {
  const agent = spawnAgent({ ...lab.env, ...env });
  try {
    await agent.ready();
    return await use(agent);
  } finally {
    await agent.stop();
  }
}

/** Nothing lost, nothing leaked, nothing short, and every replica holds what its extent says. */
export async function expectIntact({
  pool,
  manifest,
}: Pick<Lab, 'pool' | 'manifest'>): Promise<void> {
  expectSound(pool);
  const { store } = pool.context;
  for (const { name } of pool.list()) {
    for (const extent of pool.extents(name)) {
      for (const { diskId, runs } of store.extents.replicas(extent.extentId)) {
        const file = join(store.disks.get(diskId)?.path ?? '', 'dynamicfs.data');
        const bytes = readRuns(file, runs).subarray(0, extent.sizeBytes);
        expect(checksumOf(bytes).equals(extent.checksum)).toBe(true);
      }
    }
  }
  expect(await inventory(pool)).toEqual(manifest);
}

/** Figures of the pool that a refused request may not change. */
export function stateOf(pool: ExtentPool): unknown {
  const { store } = pool.context;
  return {
    settings: store.settings.read(),
    runs: store.runs.recent(100),
    totals: store.totals.read(),
    disks: pool.disks(),
  };
}

function readRuns(path: string, runs: readonly ByteRun[]): Buffer {
  const fd = openSync(path, 'r');
  try {
    return Buffer.concat(
      runs.map(({ startBytes, lengthBytes }) => {
        const piece = Buffer.alloc(lengthBytes);
        readSync(fd, piece, 0, lengthBytes, startBytes);
        return piece;
      }),
    );
  } finally {
    closeSync(fd);
  }
}
