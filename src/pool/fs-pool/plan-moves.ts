/** The dry run of a defragmentation: what would be moved, what would be skipped and why. */

import type { WireError } from '../../domain/errors.js';
import { gainOf, makeScanControl, type ScanCandidate } from '../../domain/file-scan.js';
import { CANDIDATE_LIMIT, freeBytesFloor } from '../../domain/fs-pace.js';
import type { FsRunOptions } from '../../domain/fs-runs.js';
import {
  MOVE_GROUP_FILES_MAX,
  type MovePlan,
  type PrepareOutcome,
} from '../../domain/move-tasks.js';
import { LAST_PLACE_TRY } from '../../domain/place-forecast.js';
import type { WorkerPool } from '../worker-pool.js';
import { type FsMount, movePlace } from './detect.js';
import { capacityBytes } from './move-group.js';
import { scanMount, unreadError } from './scan.js';

export interface MovePlanReport {
  readonly scannedCount: number;
  readonly fragmentedCount: number;
  /** Files that would be moved. */
  readonly fileCount: number;
  /** Bytes that would be rewritten. */
  readonly moveBytes: number;
  readonly fragmentsBefore: number;
  readonly fragmentsAfter: number;
  readonly skipped: readonly { readonly reason: string; readonly count: number }[];
  readonly failed: readonly { readonly reason: string; readonly count: number }[];
  /** There are more fragmented files than were planned. */
  readonly truncated: boolean;
  /** Why not all files are known; null when they are. */
  readonly incomplete: WireError | null;
  /** The files with the most to gain. */
  readonly files: readonly PlannedFile[];
}

export interface PlannedFile {
  readonly pathHex: string | null;
  readonly sizeBytes: number;
  readonly moveBytes: number;
  readonly fragmentsBefore: number;
  readonly fragmentsAfter: number;
  readonly method: string;
}

const NAME_COUNT = 20;

/** Reads only: allocates nothing and reads no content. @throws MaintenanceError as `scanMount`. */
export async function planMoves(
  workers: WorkerPool,
  mount: FsMount,
  options: FsRunOptions,
  request: { readonly threadCount: number; readonly nowMs: number },
): Promise<MovePlanReport> {
  const place = movePlace(mount);
  const scan = await scanMount(workers, mount, {
    ...request,
    subtree: options.subtree,
    candidateLimit: CANDIDATE_LIMIT,
    nameCount: NAME_COUNT,
    mapCellCount: 0,
    control: makeScanControl(),
  });
  const sum = new PlanSum();
  const { verify, allowUnshare, quietMs } = options;
  for (let at = 0; at < scan.candidates.length; at += MOVE_GROUP_FILES_MAX) {
    const files = scan.candidates.slice(at, at + MOVE_GROUP_FILES_MAX);
    const outcomes = await workers.run('prepare-moves', {
      ...place,
      files: files.map(({ handle }) => ({ handle: handle ?? '', startBytes: 0 })),
      ...{ groupName: 'dry-run', verify, allowUnshare, quietMs, control: null },
      freeBytesMin: freeBytesFloor(capacityBytes(mount.path)),
      dryRun: true,
      placeTry: LAST_PLACE_TRY,
    });
    for (const [index, file] of files.entries()) sum.add(file, outcomes[index]);
  }
  return {
    scannedCount: scan.fileCount,
    fragmentedCount: scan.fragmentedCount,
    truncated: scan.truncated,
    incomplete: unreadError(scan, mount.path)?.toWire() ?? null,
    ...sum.report(),
  };
}

class PlanSum {
  readonly #skipped = new Map<string, number>();
  readonly #failed = new Map<string, number>();
  readonly #files: PlannedFile[] = [];
  #fileCount = 0;
  #moveBytes = 0;
  #fragmentsBefore = 0;
  #fragmentsAfter = 0;

  add(file: ScanCandidate, outcome: PrepareOutcome | undefined): void {
    if (outcome?.kind === 'skipped') count(this.#skipped, outcome.reason);
    else if (outcome?.kind === 'failed') count(this.#failed, outcome.error.message);
    else if (outcome?.kind === 'planned') this.#plan(file, outcome.plan);
  }

  #plan(file: ScanCandidate, plan: MovePlan): void {
    const { moveBytes, fragmentsAfter } = wholeFile(file, plan);
    const { fragmentsBefore, method } = plan;
    this.#fileCount += 1;
    this.#moveBytes += moveBytes;
    this.#fragmentsBefore += fragmentsBefore;
    this.#fragmentsAfter += fragmentsAfter;
    if (this.#files.length < NAME_COUNT) {
      const { pathHex, sizeBytes } = file;
      this.#files.push({ pathHex, sizeBytes, moveBytes, fragmentsBefore, fragmentsAfter, method });
    }
  }

  report(): Omit<MovePlanReport, 'scannedCount' | 'fragmentedCount' | 'truncated' | 'incomplete'> {
    return {
      fileCount: this.#fileCount,
      moveBytes: this.#moveBytes,
      fragmentsBefore: this.#fragmentsBefore,
      fragmentsAfter: this.#fragmentsAfter,
      skipped: counts(this.#skipped),
      failed: counts(this.#failed),
      files: this.#files,
    };
  }
}

/** Of a file that moves in pieces only the first is planned; the others are taken to fare alike. */
function wholeFile(
  file: ScanCandidate,
  plan: MovePlan,
): { readonly moveBytes: number; readonly fragmentsAfter: number } {
  const { resumeBytes, moveBytes, fragmentsBefore } = plan;
  const saved = plan.pieceFragmentsBefore - plan.pieceFragmentsAfter;
  if (resumeBytes === null) return { moveBytes, fragmentsAfter: fragmentsBefore - saved };
  const savedInAll = Math.min(gainOf(file), Math.round((saved / moveBytes) * file.allocatedBytes));
  return { moveBytes: file.allocatedBytes, fragmentsAfter: fragmentsBefore - savedInAll };
}

function count(counts: Map<string, number>, reason: string): void {
  counts.set(reason, (counts.get(reason) ?? 0) + 1);
}

function counts(map: ReadonlyMap<string, number>): { reason: string; count: number }[] {
  return [...map]
    .map(([reason, number]) => ({ reason, count: number }))
    .sort((a, b) => b.count - a.count);
}
