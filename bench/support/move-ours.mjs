/** Moves all fragmented files of a mount with the project's own workers, as a run of an agent does. */

import { statSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Piscina } from 'piscina';
import { MIB } from './figures.mjs';
import { loadDomain } from './load-domain.mjs';

/** As in src/agent/main.ts: an agent has this. */
const OPTIMIZE_LATE = {
  20: '--interrupt-budget=1320000',
  22: '--invocation-count-for-turbofan=60000',
};
const THREAD_COUNT = 2;
const GROUP_FILES_MAX = 256;
const GROUP_BYTES_MAX = 128 * MIB;
/** As in src/domain/place-forecast.ts. */
const MANY_FRAGMENTS = 16;
const BAD_FRAGMENTS = 4;
const LAST_PLACE_TRY = 4;
const SECOND_MOVE_TRY = 5;

/**
 * Threads are started before the clock: an agent has them.
 *
 * @returns what does the work, and then tells which share of the bytes was moved for nothing.
 */
export async function runOurs({ mountPath, device }, fsType, verify) {
  const flag = OPTIMIZE_LATE[process.versions.node.split('.', 1).join()];
  if (flag !== undefined) setFlagsFromString(flag);
  const laneCount = THREAD_COUNT * groupsPerThread(fsType, verify);
  const pool = new Piscina({
    minThreads: laneCount,
    maxThreads: laneCount,
    // As in src/pool/worker-pool.ts.
    trackUnmanagedFds: false,
  });
  const mount = { mountPath, fsType, deviceNumber: statSync(mountPath).dev };
  const task = async (kind, body) => {
    const filename = new URL(`../../dist/workers/${kind}.js`, import.meta.url).href;
    const reply = await pool.run({ ...mount, control: null, verify, ...body }, { filename });
    if (!reply.ok) throw new Error(JSON.stringify(reply.error));
    return reply.value;
  };
  await warmUp(task, laneCount);
  const { gainClassOf, inInodeOrder } = await loadDomain('move-order');
  const work = async () => {
    const { candidates } = await task('scan-file-system', scanOf(device));
    // As src/store/fs-candidates.ts hands them out; all tiers are one.
    const ordered = inInodeOrder(candidates).sort((a, b) => gainClassOf(b) - gainClassOf(a));
    return await new Lanes(task, ordered).run(laneCount);
  };
  work.end = () => pool.close();
  return work;
}

/** As in src/domain/move-tasks.ts. */
function groupsPerThread(fsType, verify) {
  return fsType === 'btrfs' || (fsType === 'ext4' && !verify) ? 2 : 1;
}

function scanOf(device) {
  return {
    subtree: null,
    method: 'auto',
    devicePaths: [device],
    threadCount: THREAD_COUNT,
    candidateLimit: 50_000,
    nameCount: 0,
    mapCellCount: 0,
    targetFragmentBytes: 64 * MIB,
    nowMs: Date.now(),
  };
}

/** Each thread loads its code once. */
async function warmUp(task, laneCount) {
  const empty = { groupName: 'warm', allowUnshare: false, quietMs: 0, freeBytesMin: 0 };
  for (const kind of ['prepare-moves', 'finish-moves']) {
    const body = { files: [], moves: [], dryRun: true, placeTry: LAST_PLACE_TRY, ...empty };
    await Promise.all(Array.from({ length: 4 * laneCount }, () => task(kind, body)));
  }
}

/** Lanes side by side, each with a group of its own. */
class Lanes {
  #task;
  #waiting;
  #groupCount = 0;
  #movedBytes = 0;
  #wastedBytes = 0;
  /** As in src/domain/place-queue.ts: tried again, alone, when all others are done. */
  #withoutPlace = [];
  #badlyPlaced = [];

  constructor(task, candidates) {
    this.#task = task;
    this.#waiting = candidates.map(({ handle, allocatedBytes, fragmentCount }) => ({
      handle,
      allocatedBytes,
      fragmentCount,
      startBytes: 0,
    }));
  }

  async run(laneCount) {
    const lane = async () => {
      while (this.#waiting.length > 0) await this.#moveGroup(this.#takeGroup(), 0);
    };
    const lanes = () => Promise.all(Array.from({ length: laneCount }, lane));
    await lanes();
    for (let placeTry = 1; placeTry <= SECOND_MOVE_TRY; placeTry += 1) {
      for (const file of this.#takeTried(placeTry)) {
        await this.#moveGroup([file], placeTry);
        await lanes();
      }
    }
    return { wasteRatio: this.#movedBytes === 0 ? 0 : this.#wastedBytes / this.#movedBytes };
  }

  #takeTried(placeTry) {
    return (placeTry === SECOND_MOVE_TRY ? this.#badlyPlaced : this.#withoutPlace).splice(0);
  }

  #takeGroup() {
    const files = [];
    let groupBytes = 0;
    while (this.#waiting.length > 0 && files.length < GROUP_FILES_MAX) {
      const ofFile = Math.min(this.#waiting[0].allocatedBytes, GROUP_BYTES_MAX);
      if (files.length > 0 && groupBytes + ofFile > GROUP_BYTES_MAX) break;
      groupBytes += ofFile;
      files.push(this.#waiting.shift());
    }
    return files;
  }

  async #moveGroup(files, placeTry) {
    this.#groupCount += 1;
    const outcomes = await this.#task('prepare-moves', {
      files,
      groupName: `bench-${this.#groupCount}`,
      allowUnshare: false,
      quietMs: 0,
      freeBytesMin: 0,
      dryRun: false,
      placeTry,
    });
    const failed = outcomes.find(({ kind }) => kind === 'failed');
    if (failed) throw new Error(JSON.stringify(failed.error));
    if (placeTry < LAST_PLACE_TRY) {
      const isLeft = ({ fragmentCount }, index) =>
        outcomes[index].reason === 'no-space' ||
        (outcomes[index].reason === 'no-better-place' && fragmentCount >= MANY_FRAGMENTS);
      this.#withoutPlace.push(...files.filter(isLeft));
    }
    const moves = outcomes.filter(({ kind }) => kind === 'ready');
    if (moves.length === 0) return;
    const done = await this.#task('finish-moves', { moves });
    for (const [index, outcome] of done.entries()) {
      this.#count(moves[index], outcome, placeTry);
    }
  }

  #count({ intent, plan }, outcome, placeTry) {
    if (outcome.kind === 'failed') throw new Error(JSON.stringify(outcome.error));
    const hasMoved = outcome.kind === 'moved';
    const isBetter = hasMoved && outcome.fragmentsAfter < outcome.fragmentsBefore;
    // Btrfs wrote it, found no better place, and it went back.
    const bytes = hasMoved ? outcome.movedBytes : plan.moveBytes;
    this.#movedBytes += bytes;
    if (!isBetter) this.#wastedBytes += bytes;
    const { fragmentsAfter } = outcome;
    const isSingle = intent.startBytes === 0 && outcome.resumeBytes === null;
    const isBadlyPlaced = hasMoved && isSingle && fragmentsAfter >= BAD_FRAGMENTS;
    if (isBadlyPlaced && placeTry > 0 && placeTry < SECOND_MOVE_TRY) {
      const { handle } = intent;
      const ofFile = { allocatedBytes: plan.sizeBytes, fragmentCount: fragmentsAfter };
      this.#badlyPlaced.push({ handle, ...ofFile, startBytes: 0 });
    }
    if (hasMoved && outcome.resumeBytes !== null) {
      const allocatedBytes = plan.sizeBytes - outcome.resumeBytes;
      this.#waiting.push({
        handle: intent.handle,
        allocatedBytes,
        fragmentCount: outcome.fragmentsAfter,
        startBytes: outcome.resumeBytes,
      });
    }
  }
}
