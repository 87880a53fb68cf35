/**
 * Trims a mounted file system window by window: which come next, and which may be left out. Pure.
 *
 * A window is a range of the addresses that FITRIM counts in: those of the device for ext4 and XFS,
 * logical ones for Btrfs. It is what the cursor moves by, what is remembered, and one task.
 */

import { InvariantError } from './errors.js';
import { type ByteRun, GIB, roundDown } from './units.js';

export const TRIM_WINDOW_BYTES_DEFAULT = GIB;

/**
 * What tells whether any space was freed since: read BEFORE the syncfs that precedes the first
 * FITRIM of a run, so that whatever is freed later changes it. Kept with each window.
 */
export interface TrimEvidence {
  /** Changes with each mount of the file system and each boot; null when that cannot be told. */
  readonly instance: string | null;
  /** XFS: what was freed since it was mounted. */
  readonly freed: FreedTotals | null;
  /** Btrfs: the transaction that was running or done last, and the devices' write errors. */
  readonly generation: string | null;
}

export interface FreedTotals {
  readonly extentCount: number;
  readonly blockCount: number;
  readonly blockBytes: number;
}

/** What is kept of a window whose trim was complete. */
export interface RememberedWindow extends ByteRun {
  /** Of the run that trimmed it. Windows of one run share it, and no other run has it. */
  readonly runId: string;
  readonly evidence: TrimEvidence;
  /** Hash of the free runs in it before its trim; null where the file system does not list them. */
  readonly fingerprint: string | null;
  readonly freeBytes: number | null;
  readonly trimmedAtMs: number;
  readonly minLengthBytes: number;
}

/** A window as the file system has it now. */
export interface TrimWindow extends ByteRun {
  /** Hash of its free runs; null where the file system does not list them. */
  readonly fingerprint: string | null;
  /** All of them, however short. */
  readonly freeBytes: number | null;
  /** Of those at least as long as the minimum. */
  readonly trimmableBytes: number | null;
  readonly freeRunCount: number | null;
  /** In sysfs, where it lies on some of several devices only; null for all of them. */
  readonly deviceNames: readonly string[] | null;
}

export type SkipCause =
  /** Nothing at all was freed in the file system since. */
  | 'nothing-freed'
  /** Space was freed, but all of it elsewhere. */
  | 'freed-elsewhere'
  /** No free space in it. */
  | 'full';

export interface PlannedWindow {
  readonly window: TrimWindow;
  readonly skip: SkipCause | null;
}

/**
 * Cuts address ranges into windows on a fixed grid, so that a window is the same in every run.
 *
 * @param ranges sorted and disjoint: the device for ext4 and XFS, the chunks for Btrfs.
 * @param originBytes where the grid begins: ext4 with blocks of 1 KiB counts its groups from 1 KiB.
 */
export function windowGrid(
  ranges: readonly ByteRun[],
  windowBytes = TRIM_WINDOW_BYTES_DEFAULT,
  originBytes = 0,
): ByteRun[] {
  if (windowBytes <= 0) throw new InvariantError('a window needs a length above 0');
  const windows: ByteRun[] = [];
  for (const { startBytes, lengthBytes } of ranges) {
    const endBytes = startBytes + lengthBytes;
    for (let at = startBytes; at < endBytes; ) {
      const cell = roundDown(Math.max(0, at - originBytes), windowBytes) + originBytes;
      const next = Math.min(cell + windowBytes, endBytes);
      windows.push({ startBytes: at, lengthBytes: next - at });
      at = next;
    }
  }
  return windows;
}

/**
 * Where a run goes on: from the window that holds the cursor, and round to those before it.
 *
 * @param cursorBytes the first byte that the stopped run had not reached; null to begin anew.
 * @returns the same windows; the first one may be cut at the cursor, its head then comes last.
 */
export function windowsFromCursor<T extends ByteRun>(
  windows: readonly T[],
  cursorBytes: number | null,
): T[] {
  if (cursorBytes === null) return [...windows];
  const from = windows.findIndex((window) => window.startBytes + window.lengthBytes > cursorBytes);
  if (from < 0) return [...windows];
  return [...windows.slice(from), ...windows.slice(0, from)];
}

/**
 * Decides for every window whether it has to be trimmed.
 *
 * A window is left out only when each of its free blocks was free when it was last trimmed and has
 * been free ever since: then nobody wrote to it. docs/trim.md has the proof; in short:
 * - `nothing-freed`: the evidence from before that trim is the same now, and each way to free a
 *   block changes it;
 * - `freed-elsewhere` (XFS): the blocks freed since, by the kernel's own count, are no more than the
 *   other windows of that run have gained, so none was freed in this one.
 *
 * The kernel does the same for ext4, by group, where these windows ask for whole groups.
 *
 * @param now read before the syncfs, `freedNow` after `windows` were read.
 */
export function planWindows(
  windows: readonly TrimWindow[],
  remembered: readonly RememberedWindow[],
  now: TrimEvidence,
  freedNow: FreedTotals | null,
  minLengthBytes: number,
): PlannedWindow[] {
  const memory = new Map(remembered.map((window) => [window.startBytes, window]));
  const gainedByRun = gainsByRun(windows, memory);
  return windows.map((window) => {
    // Btrfs trims what belongs to no chunk along with any window, so none of those may be left out.
    if (window.freeBytes === 0 && window.fingerprint !== null) return { window, skip: 'full' };
    const before = memory.get(window.startBytes);
    if (!before || !isSameWindow(window, before)) return { window, skip: null };
    // Runs shorter than its minimum were left out then.
    if (before.minLengthBytes > minLengthBytes) return { window, skip: null };
    if (nothingFreed(before.evidence, now)) return { window, skip: 'nothing-freed' };
    const gained = gainedByRun.get(before.runId) ?? 0;
    return { window, skip: freedElsewhere(window, before, now, freedNow, gained) };
  });
}

/** The windows that lie on a device, if only in part. */
export function windowsOnDevice(
  plan: readonly PlannedWindow[],
  deviceName: string | null,
): PlannedWindow[] {
  return plan.filter(
    ({ window: { deviceNames } }) =>
      deviceName === null || deviceNames === null || deviceNames.includes(deviceName),
  );
}

/**
 * What a trim would ask of one device of several, in windows that lie on it alone: of the others nobody
 * tells which part of their free space is whose. Null where that is not known.
 */
export function requestBytesOfDevice(
  plan: readonly PlannedWindow[],
  deviceName: string,
): number | null {
  const alone = ({ window: { deviceNames } }: PlannedWindow) => deviceNames?.length === 1;
  const { isKnown, requestBytes } = forecastWindows(
    windowsOnDevice(plan, deviceName).filter(alone),
  );
  return isKnown ? requestBytes : null;
}

function nothingFreed(before: TrimEvidence, now: TrimEvidence): boolean {
  if (before.instance === null || before.instance !== now.instance) return false;
  if (before.freed !== null && now.freed !== null) {
    return (
      before.freed.extentCount === now.freed.extentCount &&
      before.freed.blockCount === now.freed.blockCount
    );
  }
  return before.generation !== null && before.generation === now.generation;
}

/**
 * A block that was freed shows as a gain of its window, or was freed where it does not show: in a
 * window that also lost some, or because it was in use for a while in between. Equal sums leave no
 * room for the second kind.
 */
function freedElsewhere(
  window: TrimWindow,
  before: RememberedWindow,
  now: TrimEvidence,
  freedNow: FreedTotals | null,
  gainedBytes: number,
): SkipCause | null {
  const freedThen = before.evidence.freed;
  if (before.evidence.instance === null || before.evidence.instance !== now.instance) return null;
  if (freedThen === null || freedNow === null) return null;
  if (window.fingerprint === null || window.fingerprint !== before.fingerprint) return null;
  // Somebody may have set the counters back to 0.
  if (freedNow.blockCount < freedThen.blockCount) return null;
  const freedBytes = (freedNow.blockCount - freedThen.blockCount) * freedNow.blockBytes;
  return freedBytes <= gainedBytes ? 'freed-elsewhere' : null;
}

/**
 * The least that was freed in the windows of each run since, by what they have more of now.
 *
 * Only windows of the same run count, since those of an earlier one also hold what was freed before.
 */
function gainsByRun(
  windows: readonly TrimWindow[],
  memory: ReadonlyMap<number, RememberedWindow>,
): ReadonlyMap<string, number> {
  const gains = new Map<string, number>();
  for (const window of windows) {
    const before = memory.get(window.startBytes);
    if (!before || !isSameWindow(window, before)) continue;
    if (window.freeBytes === null || before.freeBytes === null) continue;
    const gainedBytes = Math.max(0, window.freeBytes - before.freeBytes);
    gains.set(before.runId, (gains.get(before.runId) ?? 0) + gainedBytes);
  }
  return gains;
}

function isSameWindow(window: ByteRun, before: ByteRun): boolean {
  return window.startBytes === before.startBytes && window.lengthBytes === before.lengthBytes;
}

export interface TrimWindowForecast {
  /** Free bytes in windows that have to be trimmed: the device may have most of them back already. */
  readonly requestBytes: number;
  readonly rangeCount: number;
  readonly windowCount: number;
  readonly skippedWindowCount: number;
  readonly skippedBytes: number;
  /** False where the file system does not list its free space: then the figures above are 0. */
  readonly isKnown: boolean;
}

/**
 * What a run would ask for now. An upper bound: ext4 leaves groups out by itself.
 *
 * @param outsideBytes free space outside of all windows: what Btrfs has in no chunk.
 */
export function forecastWindows(
  plan: readonly PlannedWindow[],
  outsideBytes = 0,
): TrimWindowForecast {
  const due = plan.filter(({ skip }) => skip === null).map(({ window }) => window);
  const skipped = plan.filter(({ skip }) => skip !== null).map(({ window }) => window);
  const freeOf = (windows: readonly TrimWindow[]) =>
    windows.reduce((sum, { trimmableBytes }) => sum + (trimmableBytes ?? 0), 0);
  return {
    requestBytes: freeOf(due) + (due.length > 0 ? outsideBytes : 0),
    rangeCount: due.reduce((sum, { freeRunCount }) => sum + (freeRunCount ?? 0), 0),
    windowCount: due.length,
    skippedWindowCount: skipped.length,
    skippedBytes: freeOf(skipped),
    isKnown: plan.every(({ window }) => window.trimmableBytes !== null),
  };
}
