/**
 * What is entered in the ledger by the stores themselves, in the transaction that does it: runs,
 * policies, replicas and disks.
 */

import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { NEW_DISK_HEALTH } from '../../src/domain/disk-health.js';
import { MaintenanceError } from '../../src/domain/errors.js';
import type { LedgerEntry } from '../../src/domain/ledger.js';
import { FINDINGS_ENTERED, type Finding } from '../../src/domain/repairs.js';
import { FsPoolStore } from '../../src/store/fs-pool-store.js';
import { PoolStore } from '../../src/store/pool-store.js';
import type { NewRun } from '../../src/store/runs.js';
import { tempDirectory } from '../support/temp-directory.js';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

const NOW_MS = 1_700_000_000_000;

function newStore<S extends { close(): void }>(Store: new (path: string, options: object) => S): S {
  const path = join(tempDirectory('entries'), 'pool.sqlite');
  const store = new Store(path, { create: true, actor: 'alice', clock: () => NOW_MS });
  open.push(store);
  return store;
}

/** Without the first, which every ledger has. */
function entriesOf(store: Pick<PoolStore, 'ledger'>): LedgerEntry[] {
  expect(store.ledger.verify().problem).toBe(null);
  return [...store.ledger.entries({ limit: 1000 })]
    .slice(1)
    .map(({ entry }) => entry as LedgerEntry);
}

const RUN: NewRun = {
  ...{ kind: 'defrag', trigger: 'pass', intensity: 'low', threadCount: 1, diskId: null },
  ...{ secureErase: false, startedAtMs: NOW_MS, plannedCount: 7, plannedBytes: 70 },
};

describe.each([
  ['extent pool', PoolStore],
  ['mount', FsPoolStore],
] as const)('of a run on an %s', (_, Store) => {
  it('the ledger tells how it began, was paused, changed, went on and ended', () => {
    const store = newStore<PoolStore | FsPoolStore>(Store);
    const runId = store.runs.insert(RUN);
    store.runs.setState(runId, 'paused', NOW_MS + 1, null, 'backup at night');
    store.runs.setIntensity(runId, 'high', 2);
    store.runs.setState(runId, 'running', NOW_MS + 2);
    store.runs.addProgress(runId, { processedCount: 5, doneCount: 3, doneBytes: 30, heldMs: 9 });
    const error = new MaintenanceError('ERR_NO_SPACE', 'no space left').toWire();
    store.ledger.actor = 'agent';
    store.runs.setState(runId, 'failed', NOW_MS + 500, error);

    const told = entriesOf(store);
    expect(told.map(({ event, actor, reason }) => [event, actor, reason])).toEqual([
      ['run-began', 'alice', 'the pass of every minute found something fragmented'],
      ['run-paused', 'alice', 'backup at night'],
      ['run-changed', 'alice', null],
      ['run-resumed', 'alice', null],
      ['run-ended', 'agent', 'no space left'],
    ]);
    expect(told.every((entry) => entry.runId === runId && entry.policyVersion === 0)).toBe(true);
    expect(told[0]?.figures).toEqual({
      ...{ kind: 'defrag', trigger: 'pass', intensity: 'low', threadCount: 1 },
      ...{ plannedCount: 7, plannedBytes: 70 },
    });
    expect(told[4]).toMatchObject({
      atMs: NOW_MS + 500,
      figures: {
        ...{ kind: 'defrag', state: 'failed', intensity: 'high', durationMs: 500 },
        error: { code: 'ERR_NO_SPACE' },
        progress: store.runs.get(runId)?.progress,
      },
    });
  });

  it('the ledger tells nothing of a change that is none, or of a run that is over', () => {
    const store = newStore<PoolStore | FsPoolStore>(Store);
    const runId = store.runs.insert(RUN);
    store.runs.setIntensity(runId, 'low', 1);
    expect(store.runs.setState(runId, 'running', NOW_MS)).toBe(true);
    expect(store.runs.setState(runId, 'stopped', NOW_MS)).toBe(true);
    expect(store.runs.setState(runId, 'completed', NOW_MS)).toBe(false);
    expect(store.runs.setState(99, 'stopped', NOW_MS)).toBe(false);
    expect(entriesOf(store).map(({ event }) => event)).toEqual(['run-began', 'run-ended']);
  });

  it('the ledger tells what was still done after it was stopped, so that its figures add up', () => {
    const store = newStore<PoolStore | FsPoolStore>(Store);
    const runId = store.runs.insert(RUN);
    store.runs.addProgress(runId, { processedCount: 1, doneCount: 1, doneBytes: 10 });
    store.runs.setState(runId, 'stopped', NOW_MS);
    store.runs.addProgress(runId, { busyMs: 40, heldMs: 3 });
    store.runs.addProgress(runId, { processedCount: 2, doneCount: 2, doneBytes: 25, busyMs: 1 });
    const [, ended, late] = entriesOf(store);
    expect(ended?.figures).toMatchObject({ progress: { doneCount: 1, doneBytes: 10 } });
    expect(late).toMatchObject({ event: 'run-late-work', runId, figures: { doneBytes: 25 } });
    expect(store.runs.get(runId)?.progress).toMatchObject({ doneCount: 3, doneBytes: 35 });
  });

  it('the ledger does not tell what was rolled back', () => {
    const store = newStore<PoolStore | FsPoolStore>(Store);
    expect(() =>
      store.transaction(() => {
        store.runs.insert(RUN);
        throw new Error('power cut');
      }),
    ).toThrow('power cut');
    expect(entriesOf(store)).toEqual([]);
  });
});

it('of a trim the ledger tells its receipt, of a mount that of each device', () => {
  const store = newStore(FsPoolStore);
  const runId = store.runs.insert({ ...RUN, kind: 'trim', trigger: 'manual' });
  store.runs.addProgress(runId, { doneBytes: 44, confirmedBytes: 0, reclaimedBytes: 3 });
  const device = { path: '/dev/sdx', discardedBytes: 44, confirmedBytes: 0, takesDiscards: true };
  store.trimDevices.add(runId, device);
  store.runs.setState(runId, 'completed', NOW_MS);
  expect(entriesOf(store)[1]?.figures).toMatchObject({
    receipt: { askedBytes: 44, confirmedBytes: 0, reclaimedBytes: 3 },
    devices: [device],
  });
});

it('of what a run left alone the ledger tells the reasons, however many there are', () => {
  const store = newStore(PoolStore);
  const runId = store.runs.insert(RUN);
  for (let n = 1; n <= 40; n += 1) {
    const outcome = n % 2 === 0 ? 'skipped' : 'failed';
    for (let extentId = 0; extentId < n; extentId += 1) {
      store.candidates.exclude(runId, { extentId: n * 100 + extentId, diskId: 1 }, outcome, `${n}`);
    }
  }
  store.runs.setState(runId, 'completed', NOW_MS);
  const told = entriesOf(store)[1]?.figures.exclusions as unknown as { count: number }[];
  expect(told[0]).toEqual({ outcome: 'skipped', reason: '40', count: 40 });
  expect(told).toHaveLength(22);
  expect(told.reduce((sum, { count }) => sum + count, 0)).toBe((40 * 41) / 2);
});

it('of a policy the ledger tells both versions, what holds now and who set it', () => {
  const store = newStore(PoolStore);
  store.policies.set({ preset: 'aggressive', overrides: {} }, NOW_MS, 'bob');
  store.policies.set({ preset: 'custom', overrides: { sloMs: 5 } }, NOW_MS + 1, 'carol');
  store.runs.insert(RUN);
  const [, second, run] = entriesOf(store);
  expect(second).toMatchObject({
    ...{ event: 'policy-set', actor: 'carol', atMs: NOW_MS + 1, policyVersion: 2 },
    figures: {
      ...{ oldVersion: 1, newVersion: 2 },
      document: { preset: 'custom', overrides: { sloMs: 5 } },
    },
  });
  expect(run?.policyVersion).toBe(2);
});

it('of disks the ledger tells that they came, failed and went', () => {
  const store = newStore(PoolStore);
  const diskId = store.disks.add({
    ...{ uuid: 'u-1', kind: 'directory', path: '/disk', tier: 'hot', capacityBytes: 9 },
    ...{ reserveBytes: 0, granularityBytes: 4096, evacuating: false, journalEpoch: 0 },
    ...{ journalTailBytes: 0, journalStale: false, addedAtMs: NOW_MS },
  });
  store.health.set(diskId, { ...NEW_DISK_HEALTH, errorCount: 1 });
  store.health.set(diskId, { ...NEW_DISK_HEALTH, state: 'missing', reason: 'it is away' });
  store.runs.insert({ ...RUN, kind: 'evacuate', trigger: 'evacuation', diskId });
  store.disks.remove(diskId);
  const disk = { uuid: 'u-1', disk: '/disk', tier: 'hot' };
  expect(entriesOf(store)).toMatchObject([
    { event: 'disk-added', figures: disk },
    {
      ...{ event: 'disk-state', reason: 'it is away' },
      figures: { disk: '/disk', before: 'healthy', state: 'missing' },
    },
    { event: 'run-began', figures: { disk: '/disk' } },
    { event: 'disk-removed', figures: disk },
  ]);
});

it('of replicas the ledger tells the first of each kind of a run, and begins anew for the next', () => {
  const store = newStore(PoolStore);
  const finding: Finding = {
    ...{ runId: 1, what: 'bad', objectName: 'a', extentIndex: 0, extentId: 1 },
    ...{ diskPath: '/disk', reason: 'wrong checksum', atMs: NOW_MS },
  };
  for (let n = 0; n < FINDINGS_ENTERED + 50; n += 1) {
    store.repairs.addFinding(finding);
    store.repairs.addFinding({ ...finding, what: 'repaired' });
  }
  store.repairs.addFinding({ ...finding, runId: 2 });
  const told = entriesOf(store);
  expect(told).toHaveLength(2 * FINDINGS_ENTERED + 1);
  expect(told[0]).toMatchObject({
    ...{ event: 'replica-bad', runId: 1, reason: 'wrong checksum' },
    figures: { object: 'a', extentIndex: 0, extentId: 1, disk: '/disk' },
  });
  expect(told[1]?.event).toBe('replica-repaired');
  expect(told.at(-1)?.runId).toBe(2);
});
