/** How bad replicas are told from missing ones, and when a repair is tried again. Pure. */

/** The one reason that is a matter of content; every other one is an error of the disk. */
export const WRONG_CHECKSUM = 'wrong checksum';

/** What was seen of a replica, or done to it. */
export const FINDINGS = ['bad', 'repaired', 'unrepairable'] as const;
export type FindingKind = (typeof FINDINGS)[number];

/** One line of the record of what became of replicas. */
export interface Finding {
  /** The run that saw or did it; null for a read. */
  readonly runId: number | null;
  readonly what: FindingKind;
  readonly objectName: string;
  readonly extentIndex: number;
  readonly extentId: number;
  readonly diskPath: string;
  readonly reason: string;
  readonly atMs: number;
}

/** Older ones are forgotten: the record of a dying disk must not outgrow the catalogue. */
export const FINDINGS_KEPT = 10_000;

/** Of each kind and run that are entered in the ledger one by one. */
export const FINDINGS_ENTERED = 100;

const RETRY_MS_MIN = 60_000;
const RETRY_MS_MAX = 24 * 60 * 60 * 1000;

/** @param failureCount repairs of this replica that failed, at least 1. */
export function repairWaitMs(failureCount: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failureCount - 1, 20));
}
