/**
 * A power cut at every instant of a move: whatever of the last writes arrived, in whatever order and
 * torn at any sector, the file system is clean, each file is whole and no donor is left.
 *
 * A sample of the states; for all, or thousands with other seeds:
 *   DYNAMICFS_POWER_CUT_STATES=5000 DYNAMICFS_POWER_CUT_SEED=7 npx vitest run test/fs-pool/power-cut
 */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MoveIntent, MoveMethod } from '../../src/domain/move-tasks.js';
import { type ByteRun, GIB, KIB, MIB } from '../../src/domain/units.js';
import { finishMoves } from '../../workers/finish-moves.js';
import { problemsOf } from '../support/check-file-system.js';
import { canFault, FaultDisk } from '../support/fault-disk.js';
import { makeFragmented, sha256 } from '../support/fragmented-files.js';
import { LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { mountOf, prepare, readyMoves, settleAll, waitForClock } from '../support/move-lab.js';
import { PowerCutRecorder, type PowerCutState, type PowerCuts } from '../support/power-cut.js';

const STATE_COUNT = Number(process.env.DYNAMICFS_POWER_CUT_STATES ?? 20);
const CONTROL_STATE_COUNT = 12;
const SEED = Number(process.env.DYNAMICFS_POWER_CUT_SEED ?? 1);
/** Several times what a state takes on a busy machine. */
const STATE_MS_MAX = 5_000;
const FILE_BYTES = 96 * KIB + 5;
const NAMES = ['a', 'b', 'c'];
const SIZE_BYTES = { ext4: 64 * MIB, xfs: 320 * MIB, btrfs: 160 * MIB };
const MKFS = {
  ext4: ['mkfs.ext4', '-qF', '-b', '4096', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
  xfs: ['mkfs.xfs', '-qf', '-m', 'rmapbt=0'],
  btrfs: ['mkfs.btrfs', '-qf'],
};
const MKFS_XFS_RMAP = ['mkfs.xfs', '-qf', '-m', 'rmapbt=1'];
interface Way {
  readonly fsType: LoopFsType;
  readonly method: MoveMethod;
  readonly what: 'verified' | 'unverified' | 'unverified, without a donor';
  readonly mkfs?: readonly string[];
  readonly sizeBytes?: number;
}
const WAYS: readonly Way[] = [
  { fsType: 'ext4', method: 'move-extents', what: 'verified' },
  { fsType: 'ext4', method: 'move-extents', what: 'unverified' },
  { fsType: 'xfs', method: 'share-range', what: 'verified' },
  { fsType: 'xfs', method: 'swap-extents', what: 'verified', mkfs: MKFS_XFS_RMAP },
  { fsType: 'btrfs', method: 'defragment-range', what: 'verified' },
  {
    fsType: 'btrfs',
    method: 'defragment-range',
    what: 'unverified, without a donor',
    sizeBytes: 4 * GIB,
  },
];
/** Where each file system relies on a block being written as a whole: its superblocks. */
const ATOMIC_BYTES = { ext4: [0], xfs: [], btrfs: [64 * KIB, 64 * MIB] };

describe.skipIf(!canFault)('a power cut', () => {
  it.each(WAYS)(
    'in a move by $method on $fsType ($what) leaves whole files, a clean file system and no donor',
    async ({ fsType, method, what, mkfs, sizeBytes }) => {
      const verify = what === 'verified';
      await using disk = await makeDisk(fsType, mkfs, sizeBytes);
      using mount = new LoopMount(fsType, { imagePath: disk.imagePath });
      makeFragmented(mount, NAMES, { sizeBytes: FILE_BYTES });
      execFileSync('sync', ['-f', mount.mountPath]);
      waitForClock();
      const before = NAMES.map((name) => sha256(mount.path(name)));

      const recorder = await PowerCutRecorder.start(disk);
      const moves = readyMoves(prepare(mount, NAMES, { verify }));
      recorder.mark('intents stored');
      const outcomes = finishMoves({ ...mountOf(mount), moves, verify, control: null });
      recorder.mark('intents removed');
      mount.unmount();
      const cuts = await recorder.stop();
      expect(moves.map(({ intent }) => intent.method)).toEqual(NAMES.map(() => method));
      const hasDonor = what !== 'unverified, without a donor';
      expect(moves.map(({ intent }) => intent.donor !== null)).toEqual(NAMES.map(() => hasDonor));
      expect(outcomes.map(({ kind }) => kind)).toEqual(NAMES.map(() => 'moved'));

      const intents = moves.map(({ intent }) => intent);
      const states = statesOf(fsType, cuts, STATE_COUNT);
      expect(states.filter(({ kind }) => kind !== 'prefix').length).toBeGreaterThan(0);
      expect(states.some((state) => isOpen(state))).toBe(true);
      for (const state of states) {
        await cuts.become(state);
        expect({ state, found: settleAfterCut(mount, intentsIn(state, intents)) }).toEqual({
          state,
          found: { sums: before, failed: [], donors: [], problems: null },
        });
      }
      mount.mount();
    },
    30_000 + STATE_COUNT * STATE_MS_MAX,
  );

  it.each(LOOP_FS_TYPES)(
    'on %s is found to lose what a program says too early to be stored',
    async (fsType) => {
      await using disk = await makeDisk(fsType);
      using mount = new LoopMount(fsType, { imagePath: disk.imagePath });
      writeFileSync(mount.path('file'), Buffer.alloc(FILE_BYTES, 'old'));
      writeFileSync(mount.path('other'), 'other');
      execFileSync('sync', ['-f', mount.mountPath]);

      const recorder = await PowerCutRecorder.start(disk);
      writeFileSync(mount.path('copy'), Buffer.alloc(FILE_BYTES, 'new'));
      renameSync(mount.path('copy'), mount.path('file'));
      recorder.mark('said to be stored');
      // The journal is flushed for somebody else.
      const other = openSync(mount.path('other'), 'r+');
      fsyncSync(other);
      closeSync(other);
      mount.unmount();
      const cuts = await recorder.stop();

      let lostCount = 0;
      for (const state of statesOf(fsType, cuts, CONTROL_STATE_COUNT)) {
        await cuts.become(state);
        mount.mount();
        const content = readFileSync(mount.path('file'));
        const isNew = content.equals(Buffer.alloc(FILE_BYTES, 'new'));
        if (state.marks.includes('said to be stored') && !isNew) lostCount += 1;
        mount.unmount();
      }
      expect(lostCount).toBeGreaterThan(0);
      mount.mount();
    },
    30_000 + CONTROL_STATE_COUNT * STATE_MS_MAX,
  );
});

async function makeDisk(
  fsType: LoopFsType,
  mkfs: readonly string[] = MKFS[fsType],
  sizeBytes = SIZE_BYTES[fsType],
): Promise<FaultDisk> {
  const disk = await FaultDisk.start(sizeBytes);
  const [program = '', ...args] = mkfs;
  execFileSync(program, [...args, disk.imagePath], { stdio: 'pipe' });
  return disk;
}

function statesOf(fsType: LoopFsType, cuts: PowerCuts, count: number): PowerCutState[] {
  const starts: readonly number[] = ATOMIC_BYTES[fsType];
  const isAtomic = ({ startBytes, lengthBytes }: ByteRun): boolean =>
    starts.includes(startBytes) && lengthBytes <= 4 * KIB;
  return cuts.states({ count, seed: SEED, isAtomic });
}

function isOpen({ marks }: PowerCutState): boolean {
  return marks.includes('intents stored') && !marks.includes('intents removed');
}

/** The store is on another disk. What it was told last may have arrived or not. */
function intentsIn(state: PowerCutState, intents: readonly MoveIntent[]): readonly MoveIntent[] {
  if (isOpen(state)) return intents;
  const removedAlready = state.marks.includes('intents removed') && state.eventCount % 2 === 0;
  return state.marks.includes('intents stored') && !removedAlready ? intents : [];
}

/** As an agent does when it starts: settles, and then all must be in order. */
function settleAfterCut(mount: LoopMount, intents: readonly MoveIntent[]) {
  try {
    mount.mount();
  } catch (cause) {
    return { mount: String(cause) };
  }
  const { outcomes } = settleAll(mount, intents);
  const sums = NAMES.map((name) => sha256(mount.path(name)));
  const donors = existsSync(mount.path('.dynamicfs'))
    ? readdirSync(mount.path('.dynamicfs'), { recursive: true, encoding: 'utf8' })
    : [];
  mount.unmount();
  return {
    sums,
    failed: outcomes.filter(({ kind }) => kind !== 'intact'),
    donors: donors.filter((name) => !/^ag\d+$/.test(name)),
    problems: problemsOf(mount.fsType, mount.devicePath),
  };
}
