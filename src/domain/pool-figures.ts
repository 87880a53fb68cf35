/** What metrics tell of a pool of either kind. Pure. */

export interface DiskFigures {
  readonly uuid: string;
  readonly online: boolean;
  /** Whether the copies on it count. */
  readonly fit: boolean;
  /** Reads and writes that failed since it was last healthy. */
  readonly errorCount: number;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly pendingBytes: number;
  readonly pendingRunCount: number;
  readonly reservedBytes: number;
}

/** The last analysis. */
export interface FragmentationGauges {
  readonly analyzedAtMs: number;
  readonly fragmentationRatio: number;
  readonly disks: readonly { readonly diskId: string; readonly fragmentationRatio: number }[];
}
