/** The files of a run: found by a scan, kept in the store, handed out in groups. */

import { MaintenanceError } from '../../domain/errors.js';
import type { ScanCandidate } from '../../domain/file-scan.js';
import { CANDIDATE_LIMIT, type FsPace } from '../../domain/fs-pace.js';
import { TIERS } from '../../domain/heat.js';
import { gainClassOf, inInodeOrder } from '../../domain/move-order.js';
import { PIECE_BYTES_MAX } from '../../domain/move-plan.js';
import { LAST_PLACE_TRY } from '../../domain/place-forecast.js';
import { PlaceQueue } from '../../domain/place-queue.js';
import type { RunScope } from '../../domain/reclamation.js';
import type { Run } from '../../domain/runs.js';
import type { FsCandidate, NewFsCandidate } from '../../store/fs-candidates.js';
import type { FsPoolContext } from './context.js';
import { scanMount, unreadError } from './scan.js';

const PICK_COUNT = 1_000;

/** Of what is free and not to be left alone, what the donors of one group may take. */
const GROUP_FREE_SHARE = 1 / 4;

export interface FileGroup {
  readonly files: readonly FsCandidate[];
  /** From 1 on nothing else holds space, and the group is one file. */
  readonly placeTry: number;
}

/** What a group leaves to be done. */
export interface GroupRest {
  /** Files of which more is to be moved, or that a stop left out. */
  readonly later: readonly FsCandidate[];
  /** Files that found no space, or no good place, while others held it. */
  readonly withoutPlace: readonly FsCandidate[];
  /** Files that were moved to a place in many fragments, since there was no better one. */
  readonly badlyPlaced: readonly FsCandidate[];
}

export class RunFiles {
  readonly #context: FsPoolContext;
  readonly #runId: number;
  #waiting: FsCandidate[] = [];
  readonly #withoutPlace = new PlaceQueue<FsCandidate>();
  readonly #underWay = new Set<number>();

  constructor(context: FsPoolContext, runId: number) {
    this.#context = context;
    this.#runId = runId;
  }

  /**
   * The next group, hot files first, then the worst. Those that found no place are tried again, when
   * nothing else is under way.
   *
   * @param freeBytes what donors may take at all.
   * @returns null when none is left to begin.
   */
  take({ groupFilesMax, groupBytesMax }: FsPace, freeBytes: number): FileGroup | null {
    if (this.#waiting.length === 0) this.#load();
    const bytesMax = Math.min(groupBytesMax, freeBytes * GROUP_FREE_SHARE);
    const files: FsCandidate[] = [];
    let bytes = 0;
    while (files.length < groupFilesMax) {
      const next = this.#waiting[0];
      const nextBytes = next ? pieceBytes(next) : 0;
      if (!next || (files.length > 0 && bytes + nextBytes > bytesMax)) break;
      this.#waiting.shift();
      files.push(next);
      bytes += nextBytes;
    }
    if (files.length > 0) return this.#begin(files, 0);
    const again = this.#underWay.size === 0 ? this.#withoutPlace.take() : null;
    return again && this.#begin([again.file], again.placeTry);
  }

  /** After a group: what of it is to be moved later goes first. */
  give({ files, placeTry }: FileGroup, { later, withoutPlace, badlyPlaced }: GroupRest): void {
    for (const { candidateId } of files) this.#underWay.delete(candidateId);
    this.#waiting.unshift(...later);
    this.#withoutPlace.put(withoutPlace, placeTry);
    this.#withoutPlace.put(badlyPlaced, LAST_PLACE_TRY);
  }

  #begin(files: readonly FsCandidate[], placeTry: number): FileGroup {
    for (const { candidateId } of files) this.#underWay.add(candidateId);
    return { files, placeTry };
  }

  #load(): void {
    const aside = new Set(this.#withoutPlace.files().map(({ candidateId }) => candidateId));
    const limit = PICK_COUNT + this.#underWay.size + aside.size;
    this.#waiting = this.#context.store.candidates
      .pending(this.#runId, limit)
      .filter(({ candidateId }) => !this.#underWay.has(candidateId) && !aside.has(candidateId));
  }
}

function pieceBytes({ allocatedBytes, resumeBytes }: FsCandidate): number {
  return Math.min(PIECE_BYTES_MAX, Math.max(0, allocatedBytes - resumeBytes));
}

/**
 * Scans for files to move and adds those that the run does not know yet.
 *
 * @returns how many were added; null when the run was stopped or paused meanwhile.
 * @throws MaintenanceError ERR_PERMISSION when files cannot be named by handle; ERR_KERNEL when the
 *   file system could not be read: what is missing would else pass for what needs no move.
 */
export async function scanForRun(
  context: FsPoolContext,
  run: Run,
  control: Int32Array<SharedArrayBuffer>,
): Promise<number | null> {
  const { store, clock } = context;
  const options = store.options.get(run.runId);
  const mount = context.mount();
  const startedAtMs = clock();
  const report = await scanMount(context.workers, mount, {
    subtree: options.subtree,
    threadCount: run.threadCount,
    candidateLimit: CANDIDATE_LIMIT,
    nameCount: 0,
    mapCellCount: 0,
    nowMs: startedAtMs,
    control,
  });
  if (report.stopped) return null;
  const unread = unreadError(report, mount.path);
  if (unread && (report.missedPartCount > 0 || report.fileCount === 0)) throw unread;
  if (report.candidates.some(({ handle }) => handle === null)) throw noHandles(mount.path);
  return store.transaction(() => {
    context.assertOwner();
    store.candidates.forgetBefore(run.runId);
    const scope = store.reclamations.scope(run.runId);
    const added = store.candidates.add(run.runId, within(scope, report.candidates));
    store.runs.addProgress(run.runId, { plannedCount: added.count, plannedBytes: added.bytes });
    // Each later scan of the run meets the same ones.
    if (unread && !store.options.scan(run.runId)) {
      const { failedCount } = report;
      store.candidates.count(run.runId, 'failed', unread.message, failedCount);
      store.runs.addProgress(run.runId, { failedCount });
    }
    const durationMs = clock() - startedAtMs;
    const truncated = report.truncated && added.count > 0;
    store.options.setScan(run.runId, { scannedAtMs: startedAtMs, durationMs, truncated });
    return added.count;
  });
}

function within(scope: RunScope, files: readonly ScanCandidate[]): NewFsCandidate[] {
  const { tiers, minFragments, hotFirst } = scope;
  const wanted = files.filter(
    ({ tier, fragmentCount }) => fragmentCount >= minFragments && (tiers ?? TIERS).includes(tier),
  );
  return inInodeOrder(wanted).map((file) => toCandidate(file, hotFirst));
}

function toCandidate(file: ScanCandidate, hotFirst: boolean): NewFsCandidate {
  const { handle, tier, allocatedBytes, fragmentCount } = file;
  const tierRank = hotFirst ? TIERS.indexOf(tier) : 0;
  const gainClass = gainClassOf(file);
  return { handle: handle ?? '', tierRank, gainClass, allocatedBytes, fragmentCount };
}

function noHandles(path: string): MaintenanceError {
  return new MaintenanceError('ERR_PERMISSION', `files of ${path} cannot be opened by handle`, {
    nextStep: 'Run the agent as root, or with CAP_DAC_READ_SEARCH and CAP_DAC_OVERRIDE.',
  });
}
