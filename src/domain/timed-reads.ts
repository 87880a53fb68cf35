/**
 * Reads that are timed for a payback, and which of several times counts. Pure.
 *
 * What interferes with a read only ever adds time, and most of it comes where a run begins: so the
 * fastest counts. A median of times that were mostly disturbed would say that the run gained.
 */

import type { MoveControl } from './move-tasks.js';
import type { ReplicaLocation } from './tasks.js';
import { MIB } from './units.js';

/** Of a file only so much is read, in pieces spread over it. */
export const SAMPLE_FILE_BYTES = 16 * MIB;

export type TimedSource =
  | { readonly kind: 'replica'; readonly key: string; readonly replica: ReplicaLocation }
  /** By its handle, which is its key. */
  | { readonly kind: 'file'; readonly key: string };

export interface TimeReadsTask {
  readonly sources: readonly TimedSource[];
  /** Of which files are read; null for replicas. */
  readonly mount: { readonly mountPath: string; readonly mountId: number } | null;
  /** Each source is read at most so often, round by round, and the fastest counts. */
  readonly roundCount: number;
  /** A round begins no sooner after the one before it: whatever disturbs one is over by the next. */
  readonly roundEveryMs: number;
  /** For all rounds together. */
  readonly durationMsMax: number;
  readonly stopFlag: MoveControl;
}

export interface TimedRead {
  readonly key: string;
  readonly bytes: number;
  readonly ms: number;
  /** Changes when the content does; empty where it cannot change. */
  readonly mark: string;
  /** It was the fastest of so many. */
  readonly roundCount: number;
}

/** What is read once. */
export type TimedRound = Omit<TimedRead, 'roundCount'>;

/** What could not be read, or not in time, is not among them. */
export interface TimeReadsReply {
  readonly reads: readonly TimedRead[];
  readonly stopped: boolean;
}

/**
 * The fastest read of each source, in the order in which they were first read.
 *
 * @param rounds the oldest first. What was read of other content than last time does not count.
 */
export function fastestReads(rounds: readonly (readonly TimedRound[])[]): TimedRead[] {
  const bySource = new Map<string, TimedRead>();
  for (const read of rounds.flat()) {
    const so = bySource.get(read.key);
    const isSame = so && so.mark === read.mark && so.bytes === read.bytes;
    const ms = isSame ? Math.min(so.ms, read.ms) : read.ms;
    bySource.set(read.key, { ...read, ms, roundCount: isSame ? so.roundCount + 1 : 1 });
  }
  return [...bySource.values()];
}

/**
 * How often what was read before is read again, at most: the fastest of more would be faster.
 *
 * @returns null for a sample of a version that did not count, and kept medians.
 */
export function roundsAgain(before: readonly Partial<TimedRead>[]): number | null {
  const counts = before.flatMap(({ roundCount }) => roundCount ?? []);
  return counts.length === before.length ? Math.max(...counts) : null;
}
