/**
 * Moves one group of files of a run.
 *
 *   prepare (thread)  → intents, one transaction → finish (thread) → results, one transaction
 * Whatever happens between these, the store names every donor that may hold the only good copy.
 */

import { statfsSync } from 'node:fs';
import type { WireError } from '../../domain/errors.js';
import { withoutPaths } from '../../domain/failed-file.js';
import { freeBytesFloor } from '../../domain/fs-pace.js';
import type { FsRunOptions } from '../../domain/fs-runs.js';
import type {
  FinishOutcome,
  MoveControl,
  MoveToFinish,
  PrepareOutcome,
  SkipReason,
} from '../../domain/move-tasks.js';
import {
  isBadPlace,
  isInManyFragments,
  LAST_PLACE_TRY,
  SECOND_MOVE_TRY,
} from '../../domain/place-forecast.js';
import type { Run } from '../../domain/runs.js';
import type { FsCandidate } from '../../store/fs-candidates.js';
import type { FsPoolContext } from './context.js';
import { assertAlive, assertWritable, movePlace } from './detect.js';
import { FAILED_EXAMPLES_MAX, nameFailed } from './name-failed.js';
import type { FileGroup, GroupRest } from './run-files.js';

export interface GroupReport extends GroupRest {
  readonly processedCount: number;
  readonly movedBytes: number;
  readonly failedCount: number;
  /** False when an intent stays open: it has to be settled. */
  readonly settled: boolean;
}

export interface GroupOptions {
  readonly run: Run;
  readonly options: FsRunOptions;
  /** Unique among all groups of all agents. */
  readonly groupName: string;
  readonly control: MoveControl;
  /** Ends the search for the names of failed files. */
  readonly namesControl: Int32Array<SharedArrayBuffer>;
}

/** @throws MaintenanceError for what concerns the whole file system; then intents may be open. */
export async function moveGroup(
  context: FsPoolContext,
  { files, placeTry }: FileGroup,
  { run, options, groupName, control, namesControl }: GroupOptions,
): Promise<GroupReport> {
  const mount = context.mount();
  assertWritable(mount);
  const place = movePlace(mount);
  const { verify, allowUnshare, quietMs } = options;
  const preparation = await context.workers.run('prepare-moves', {
    ...place,
    files: files.map(({ handle, resumeBytes }) => ({ handle, startBytes: resumeBytes })),
    ...{ groupName, verify, allowUnshare, quietMs, control },
    freeBytesMin: freeBytesFloor(capacityBytes(mount.path)),
    dryRun: false,
    placeTry,
  });
  const prepared = await nameFailed(context, run, namesControl, [files, preparation]);
  const record = new GroupRecord(context, run, placeTry);
  const begun = begin(context, run, files, prepared, record);
  const ending =
    begun.length === 0
      ? []
      : await context.workers.run('finish-moves', {
          ...place,
          moves: begun.map(({ move }) => move),
          verify,
          control,
        });
  const begunFiles = begun.map(({ file }) => file);
  const finished = await nameFailed(context, run, namesControl, [begunFiles, ending]);
  context.store.transaction(() => {
    context.assertOwner();
    for (const [index, { file, intentId }] of begun.entries()) {
      const outcome = finished[index];
      if (!outcome) continue;
      if (outcome.settled) context.store.intents.remove(intentId);
      record.finished(file, outcome);
    }
    record.save();
  });
  // The files of the last group would else be all that tells of it.
  if (record.mayHaveFailedFileSystem) assertAlive(context.mount());
  return record.report();
}

interface BegunMove {
  readonly file: FsCandidate;
  readonly intentId: number;
  readonly move: MoveToFinish;
}

function begin(
  context: FsPoolContext,
  run: Run,
  files: readonly FsCandidate[],
  prepared: readonly PrepareOutcome[],
  record: GroupRecord,
): BegunMove[] {
  return context.store.transaction(() => {
    context.assertOwner();
    const ready: { file: FsCandidate; move: MoveToFinish }[] = [];
    for (const [index, file] of files.entries()) {
      const outcome = prepared[index];
      if (outcome?.kind === 'ready') {
        ready.push({ file, move: { intent: outcome.intent, plan: outcome.plan } });
      } else {
        record.prepared(file, outcome);
      }
    }
    const intents = ready.map(({ move }) => move.intent);
    const ids = context.store.intents.add(run.runId, intents, context.clock());
    return ready.map((one, index) => ({ ...one, intentId: ids[index] as number }));
  });
}

/** What became of each file, for the store and for the caller. Safe while: in a transaction. */
class GroupRecord {
  readonly #context: FsPoolContext;
  readonly #run: Run;
  readonly #placeTry: number;
  readonly #later: FsCandidate[] = [];
  readonly #withoutPlace: FsCandidate[] = [];
  readonly #badlyPlaced: FsCandidate[] = [];
  #processedCount = 0;
  #processedBytes = 0;
  #doneCount = 0;
  #skippedCount = 0;
  #failedCount = 0;
  #unverifiedCount = 0;
  #movedBytes = 0;
  #settled = true;
  #foundReadOnly = false;

  constructor(context: FsPoolContext, run: Run, placeTry: number) {
    this.#context = context;
    this.#run = run;
    this.#placeTry = placeTry;
  }

  get #mayTryAgain(): boolean {
    return this.#placeTry < LAST_PLACE_TRY;
  }

  get mayHaveFailedFileSystem(): boolean {
    return this.#foundReadOnly || this.#failedCount > 0;
  }

  prepared(file: FsCandidate, outcome: PrepareOutcome | undefined): void {
    if (outcome?.kind === 'skipped') {
      if (this.#mayTryAgain && mayFindPlace(file, outcome.reason)) this.#withoutPlace.push(file);
      else this.#skip(file, outcome.reason);
    } else if (outcome?.kind === 'failed') this.#fail(file, outcome.error);
    else this.#later.push(file);
  }

  finished(file: FsCandidate, outcome: FinishOutcome): void {
    this.#settled &&= outcome.settled;
    if (outcome.kind === 'skipped' && outcome.reason === 'no-space' && this.#mayTryAgain) {
      this.#withoutPlace.push(file);
    } else if (outcome.kind === 'skipped') this.#skip(file, outcome.reason);
    else if (outcome.kind === 'failed') this.#fail(file, outcome.error);
    else if (outcome.kind === 'not-begun') this.#later.push(file);
    else this.#moved(file, outcome);
  }

  #moved(file: FsCandidate, outcome: Extract<FinishOutcome, { kind: 'moved' }>): void {
    const { candidates } = this.#context.store;
    this.#movedBytes += outcome.movedBytes;
    if (outcome.verification === 'unverified-changed') this.#unverifiedCount += 1;
    // One that does not get on would be tried for ever.
    if (outcome.resumeBytes !== null && outcome.resumeBytes > file.resumeBytes) {
      candidates.resumeAt(file.candidateId, outcome.resumeBytes);
      this.#processedBytes += outcome.movedBytes;
      this.#later.push({ ...file, resumeBytes: outcome.resumeBytes });
      return;
    }
    if (this.#mayMoveAgain(file, outcome.fragmentsAfter)) {
      this.#badlyPlaced.push({ ...file, fragmentCount: outcome.fragmentsAfter });
      return;
    }
    candidates.done(file.candidateId, outcome.fragmentsAfter);
    this.#doneCount += 1;
    this.#processed(file);
  }

  /** Alone it got the best place that there was, which others may have bettered by leaving theirs. */
  #mayMoveAgain({ resumeBytes }: FsCandidate, fragmentsAfter: number): boolean {
    if (this.#placeTry === 0 || this.#placeTry === SECOND_MOVE_TRY) return false;
    return resumeBytes === 0 && isBadPlace(fragmentsAfter);
  }

  #skip(file: FsCandidate, reason: SkipReason): void {
    if (reason === 'read-only') this.#foundReadOnly = true;
    const { runId } = this.#run;
    const isMovedAlready = this.#placeTry === SECOND_MOVE_TRY;
    // A file that was moved up to here stays moved; the rest had nothing to gain.
    const isDone = file.resumeBytes > 0 || isMovedAlready;
    if (isDone) this.#doneCount += 1;
    else this.#skippedCount += 1;
    const fragmentsAfter = isMovedAlready ? file.fragmentCount : 0;
    if (isDone) this.#context.store.candidates.done(file.candidateId, fragmentsAfter);
    else this.#context.store.candidates.exclude(runId, file.candidateId, 'skipped', reason);
    this.#processed(file);
  }

  /** Some by name, as examples; a disk that fails all would else leave a reason for each. */
  #fail(file: FsCandidate, error: WireError): void {
    const { runId } = this.#run;
    const { candidates } = this.#context.store;
    const isExample = candidates.failedReasonCount(runId) < FAILED_EXAMPLES_MAX;
    const reason = isExample ? error.message : `more files: ${withoutPaths(error)}`;
    candidates.exclude(runId, file.candidateId, 'failed', reason);
    this.#failedCount += 1;
    this.#processed(file);
  }

  #processed(file: FsCandidate): void {
    this.#processedCount += 1;
    this.#processedBytes += Math.max(0, file.allocatedBytes - file.resumeBytes);
  }

  save(): void {
    const { runs, totals } = this.#context.store;
    runs.addProgress(this.#run.runId, {
      processedCount: this.#processedCount,
      processedBytes: this.#processedBytes,
      doneCount: this.#doneCount,
      skippedCount: this.#skippedCount,
      failedCount: this.#failedCount,
      unverifiedCount: this.#unverifiedCount,
      doneBytes: this.#movedBytes,
    });
    totals.add({
      defrag_extents_moved: this.#doneCount,
      defrag_bytes_moved: this.#movedBytes,
      defrag_errors: this.#failedCount,
    });
  }

  report(): GroupReport {
    return {
      processedCount: this.#processedCount,
      movedBytes: this.#movedBytes,
      failedCount: this.#failedCount,
      later: this.#later,
      withoutPlace: this.#withoutPlace,
      badlyPlaced: this.#badlyPlaced,
      settled: this.#settled,
    };
  }
}

/** Others hold space now, or files that will leave theirs. */
function mayFindPlace(file: FsCandidate, reason: SkipReason): boolean {
  if (reason === 'no-space') return true;
  return reason === 'no-better-place' && isInManyFragments(file);
}

/** What donors may take of a file system: the rest stays free for everybody else. */
export function freeForDonors(path: string): number {
  const { bavail, blocks, bsize } = statfsSync(path);
  return Math.max(0, bavail * bsize - freeBytesFloor(blocks * bsize));
}

export function capacityBytes(path: string): number {
  const { blocks, bsize } = statfsSync(path);
  return blocks * bsize;
}
