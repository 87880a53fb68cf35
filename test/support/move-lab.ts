/** Runs the tasks of a move as a run does: prepare, keep the intents, finish. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import type {
  FinishOutcome,
  MoveControl,
  MoveIntent,
  MoveToFinish,
  PrepareMovesTask,
  PrepareOutcome,
  SettleIntentsReply,
} from '../../src/domain/move-tasks.js';
import { finishMoves } from '../../workers/finish-moves.js';
import { prepareMoves } from '../../workers/prepare-moves.js';
import { settleIntents } from '../../workers/settle-intents.js';
import { handleOfPath } from './fragmented-files.js';
import type { LoopMount } from './loop-mounts.js';

let groupCount = 0;

export interface MoveOptions extends Partial<Omit<PrepareMovesTask, 'files'>> {
  readonly startBytes?: number;
}

export function prepareTask(
  mount: LoopMount,
  names: readonly string[],
  { startBytes = 0, ...options }: MoveOptions = {},
): PrepareMovesTask {
  groupCount += 1;
  return {
    ...mountOf(mount),
    files: names.map((name) => ({ handle: handleOfPath(mount.path(name)), startBytes })),
    groupName: `test-${process.pid}-${groupCount}`,
    verify: true,
    allowUnshare: false,
    quietMs: 0,
    freeBytesMin: 0,
    dryRun: false,
    placeTry: 0,
    control: null,
    ...options,
  };
}

export function mountOf(
  mount: LoopMount,
): Pick<PrepareMovesTask, 'mountPath' | 'deviceNumber' | 'fsType'> {
  const { mountPath, fsType } = mount;
  return { mountPath, fsType, deviceNumber: statSync(mountPath).dev };
}

export function prepare(
  mount: LoopMount,
  names: readonly string[],
  options: MoveOptions = {},
): PrepareOutcome[] {
  return prepareMoves(prepareTask(mount, names, options));
}

export function readyMoves(outcomes: readonly PrepareOutcome[]): MoveToFinish[] {
  return outcomes.flatMap((one) =>
    one.kind === 'ready' ? [{ intent: one.intent, plan: one.plan }] : [],
  );
}

export function finish(
  mount: LoopMount,
  moves: readonly MoveToFinish[],
  control: MoveControl | null = null,
): FinishOutcome[] {
  return finishMoves({ ...mountOf(mount), moves, verify: true, control });
}

/** Both steps. */
export function move(
  mount: LoopMount,
  names: readonly string[],
  options: MoveOptions = {},
): FinishOutcome[] {
  const moves = readyMoves(prepare(mount, names, options));
  const verify = options.verify ?? true;
  return finishMoves({ ...mountOf(mount), moves, verify, control: options.control ?? null });
}

export function settleAll(mount: LoopMount, intents: readonly MoveIntent[]): SettleIntentsReply {
  return settleIntents({ ...mountOf(mount), intents });
}

/** So that files are older than a step of the kernel's clock. */
export function waitForClock(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}

export function donorsOf(mount: LoopMount): string[] {
  const directory = mount.path('.dynamicfs');
  return existsSync(directory) ? readdirSync(directory) : [];
}
