/** What `--json` prints of mounted file systems; see schemas.ts for the rules. */

import * as z from 'zod';
import { BULK_METHODS } from '../domain/file-scan.js';
import { FINDING_SEVERITIES } from '../domain/findings.js';
import { TIERS } from '../domain/heat.js';
import { FS_TYPES } from '../domain/mounts.js';
import { GovernorOutput } from './governor-view.js';
import {
  bytes,
  count,
  FsDiskMapOutput,
  figures,
  RunOutput,
  ratio,
  timeMs,
  versioned,
  WireErrorSchema,
} from './schema-parts.js';

const kind = { kind: z.literal('file-system') };
const FREE_SPACE_SOURCES = ['getfsmap', 'btrfs-free-space-tree', 'btrfs-extent-tree'] as const;

export const FsInitOutput = z.strictObject({
  ...versioned,
  ...kind,
  poolId: z.uuid(),
  path: z.string(),
  fsType: z.enum(FS_TYPES),
  fileSystemUuid: z.string(),
  /** False when it was registered before. */
  isNew: z.boolean(),
});

const FsDevice = z.strictObject({
  path: z.string(),
  capacityBytes: bytes.nullable(),
  /** Of Btrfs: in chunks, whatever is free within them. Null when it is not known. */
  usedBytes: bytes.nullable(),
  freeBytes: bytes.nullable(),
  /** Null for loop devices and virtual disks, of which only their host knows. */
  rotational: z.boolean().nullable(),
  /** 0 when it cannot discard. */
  discardGranularityBytes: bytes,
  discardMaxBytes: bytes,
  /** The file behind a loop device. */
  backingPath: z.string().nullable(),
});

const space = {
  capacityBytes: bytes.nullable(),
  usedBytes: bytes.nullable(),
  freeBytes: bytes.nullable(),
};

export const FsDiskListOutput = z.strictObject({
  ...versioned,
  ...kind,
  condition: z.enum(['online', 'read-only', 'missing']),
  ...space,
  disks: z.array(FsDevice),
});

export const FsStatusOutput = z.strictObject({
  ...versioned,
  ...kind,
  poolId: z.uuid(),
  path: z.string(),
  fsType: z.enum(FS_TYPES),
  fileSystemUuid: z.string(),
  condition: z.enum(['online', 'read-only', 'missing']),
  options: z.array(z.string()),
  ...space,
  disks: z.array(FsDevice),
  openRuns: z.array(RunOutput),
  governor: GovernorOutput,
  /** Moves that a crash or an error left open; the agent settles them. */
  openMoveCount: count,
  owner: z.string().nullable(),
  lastAnalysis: z
    .strictObject({
      analyzedAtMs: timeMs,
      fragmentationRatio: ratio,
      recommendation: z.string().nullable(),
    })
    .nullable(),
});

const SizeClass = z.strictObject({ count, bytes });

const freeRuns = {
  freeBytes: bytes,
  largestRunBytes: bytes,
  runCount: count,
  runs: z.array(z.strictObject({ belowBytes: bytes.nullable(), runCount: count, bytes })),
};

export const FsAnalyzeOutput = z.strictObject({
  ...versioned,
  ...kind,
  /** Null for a mount that is not registered. */
  poolId: z.uuid().nullable(),
  path: z.string(),
  fsType: z.string(),
  /** Null for the mount as a whole. */
  subtree: z.string().nullable(),
  analyzedAtMs: timeMs,
  durationMs: z.number().nonnegative(),
  ...figures,
  /** Null when it is incomplete. */
  recommendation: z.enum(['None', 'Consider', 'Recommended', 'Urgent']).nullable(),
  /** What could not be read; then all figures are those of the rest, and the exit code is its own. */
  incomplete: WireErrorSchema.nullable(),
  /** What a trim would ask for now; null where the free space cannot be read. */
  reclaimableBytes: bytes.nullable(),
  method: z.enum([...BULK_METHODS, 'fiemap-walk']),
  /** Why the file system's own tables were not read. */
  fallbackReason: z.string().nullable(),
  /** Why each file was opened although the tables were read. */
  slowReason: z.string().nullable(),
  disks: z.array(
    z.strictObject({
      diskId: z.string(),
      path: z.string(),
      devices: z.array(z.string()),
      ...figures,
      averageFragmentsPerExtent: z.number().nonnegative(),
      sequentialRatio: ratio,
      allocatedBytes: bytes,
      capacityBytes: bytes.nullable(),
      /** As above, of this device; of several without what is spread over others. */
      reclaimableBytes: bytes.nullable(),
      freeSpace: z.strictObject(freeRuns).nullable(),
    }),
  ),
  tiers: z.array(z.strictObject({ tier: z.enum(TIERS), ...figures, allocatedBytes: bytes })),
  files: z.strictObject({
    sizeBytes: bytes,
    allocatedBytes: bytes,
    mappingCount: count,
    fragmentCount: count,
    sharedCount: count,
    sharedBytes: bytes,
    sharedKnown: z.boolean(),
    compressedCount: count,
    compressedBytes: bytes,
    unwrittenCount: count,
    unwrittenBytes: bytes,
    inlineCount: count,
    sparseCount: count,
    emptyCount: count,
    hardLinkedCount: count,
    failedCount: count,
    /** Of these, directories and pieces of tables, which hold nobody knows how many files. */
    missedPartCount: count,
    vanishedCount: count,
    otherMountCount: count,
  }),
  /** Class i: files of up to 2^i fragments and more than the class before. */
  fragmentCounts: z.array(count),
  /** Class i: fragments of 2^i to 2^(i+1) - 1 bytes. */
  fragmentSizes: z.array(SizeClass),
  worstFiles: z.array(
    z.strictObject({
      /** Below the mount, as text; null when it is no UTF-8 or not known. */
      path: z.string().nullable(),
      /** The same in hex of its bytes: a name need be no text. */
      pathHex: z.string().nullable(),
      fragmentCount: count,
      idealFragmentCount: count,
      gain: count,
      sizeBytes: bytes,
      allocatedBytes: bytes,
      tier: z.enum(TIERS),
      flags: z.array(z.string()),
    }),
  ),
  freeSpace: z
    .strictObject({
      source: z.enum(FREE_SPACE_SOURCES),
      ...freeRuns,
    })
    .nullable(),
  /** Null unless --map asked for them. */
  maps: z.array(FsDiskMapOutput).nullable(),
});

const Reasons = z.array(z.strictObject({ reason: z.string(), count }));

export const DefragPlanOutput = z.strictObject({
  ...versioned,
  ...kind,
  dryRun: z.literal(true),
  path: z.string(),
  subtree: z.string().nullable(),
  scannedCount: count,
  fragmentedCount: count,
  fileCount: count,
  moveBytes: bytes,
  fragmentsBefore: count,
  fragmentsAfter: count,
  skipped: Reasons,
  failed: Reasons,
  truncated: z.boolean(),
  /** As that of `defrag analyze`. */
  incomplete: WireErrorSchema.nullable(),
  files: z.array(
    z.strictObject({
      path: z.string().nullable(),
      pathHex: z.string().nullable(),
      sizeBytes: bytes,
      moveBytes: bytes,
      fragmentsBefore: count,
      fragmentsAfter: count,
      method: z.string(),
    }),
  ),
});

export const DoctorOutput = z.strictObject({
  ...versioned,
  ...kind,
  path: z.string(),
  fsType: z.string(),
  /** What is wrong first. */
  findings: z.array(
    z.strictObject({
      severity: z.enum(FINDING_SEVERITIES),
      layer: z.string(),
      what: z.string(),
      fix: z.string().nullable(),
    }),
  ),
});
