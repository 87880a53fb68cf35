/**
 * Moves that are cut short: the process is killed at each step, and on ext4 and XFS the file system
 * is shut down as by a power cut. What is left is settled, and every file must be whole.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KIB } from '../../src/domain/units.js';
import { problemsOf } from '../support/check-file-system.js';
import { runTypeScript } from '../support/child.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { mountOf, prepareTask, settleAll, waitForClock } from '../support/move-lab.js';
import { tempDirectory } from '../support/temp-directory.js';

const POINTS = [
  'move-prepared',
  'move-window',
  'move-window:3',
  'move-moved',
  'move-synced',
  'move-verified',
  'move-settled',
];

/** As a run does it: the intents are on the disk before the first window. */
const CHILD = `
  import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
  import { finishMoves } from './workers/finish-moves.ts';
  import { prepareMoves } from './workers/prepare-moves.ts';
  const { task, mount, intentsPath } = JSON.parse(readFileSync(process.env.JOB, 'utf8'));
  const moves = prepareMoves(task).filter(({ kind }) => kind === 'ready');
  const fd = openSync(intentsPath, 'w');
  writeSync(fd, JSON.stringify(moves.map(({ intent }) => intent)));
  fsyncSync(fd);
  closeSync(fd);
  finishMoves({ ...mount, moves, verify: true, control: null });
`;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a killed move on %s', (fsType: LoopFsType) => {
  let mount: LoopMount;
  beforeAll(() => {
    mount = new LoopMount(fsType);
  });
  afterAll(() => {
    mount.unmount();
    const problems = problemsOf(fsType, mount.devicePath);
    mount.mount();
    mount.remove();
    expect(problems).toBeNull();
  });

  const endings = fsType === 'btrfs' ? ['killed'] : ['killed', 'shut down'];
  const cases = POINTS.flatMap((point) => endings.map((ending) => [point, ending] as const));

  it.each(cases)('at %s, %s, leaves whole files and no donor', async (point, ending) => {
    const prefix = `${point.replace(':', '-')}-${ending.replace(' ', '-')}`;
    const names = ['a', 'b', 'c', 'd'].map((name) => `${prefix}-${name}`);
    makeFragmented(mount, names, { sizeBytes: 96 * KIB });
    execFileSync('sync', ['-f', mount.mountPath]);
    waitForClock();
    const before = names.map((name) => sha256(mount.path(name)));
    const counts = names.map((name) => fragmentCount(mount.path(name)));

    const directory = tempDirectory('crash');
    const job = join(directory, 'job.json');
    const intentsPath = join(directory, 'intents.json');
    writeFileSync(
      job,
      JSON.stringify({ task: prepareTask(mount, names), mount: mountOf(mount), intentsPath }),
    );
    const end = await runTypeScript(CHILD, { JOB: job, DYNAMICFS_CRASH_AT: point });
    expect(end).toMatchObject({ signal: 'SIGKILL' });
    if (ending === 'shut down') {
      execFileSync('xfs_io', ['-x', '-c', 'shutdown', mount.mountPath]);
      mount.remount();
    }

    const intents = existsSync(intentsPath) ? JSON.parse(readFileSync(intentsPath, 'utf8')) : [];
    const { outcomes } = settleAll(mount, intents);
    expect(outcomes).toEqual(intents.map(() => ({ kind: 'intact' })));
    expect(names.map((name) => sha256(mount.path(name)))).toEqual(before);
    for (const [index, name] of names.entries()) {
      expect(fragmentCount(mount.path(name))).toBeLessThanOrEqual(counts[index] ?? 0);
    }
    expect(donors(mount)).toEqual([]);
    mount.remount();
    expect(names.map((name) => sha256(mount.path(name)))).toEqual(before);
  });
});

function donors(mount: LoopMount): string[] {
  if (!existsSync(mount.path('.dynamicfs'))) return [];
  return readdirSync(mount.path('.dynamicfs'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => !/^ag\d+$/.test(name),
  );
}
