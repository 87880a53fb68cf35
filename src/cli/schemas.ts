/**
 * What `--json` prints, command by command: the contract with scripts.
 *
 * Only types are taken from here at run time, so that a command starts without zod. docs/schemas/
 * holds the same as JSON Schema; tests check every command's real output against it. A field is never
 * removed or given another meaning within one `schemaVersion`.
 */

import * as z from 'zod';
import { INTENSITIES } from '../domain/defrag-plan.js';
import { TIERS } from '../domain/heat.js';
import {
  DefragPlanOutput,
  DoctorOutput,
  FsAnalyzeOutput,
  FsDiskListOutput,
  FsInitOutput,
  FsStatusOutput,
} from './fs-schemas.js';
import { GovernorOutput } from './governor-view.js';
import { DiskHealthOutput } from './health-schemas.js';
import { HistoryOutput, HistoryVerifyOutput } from './history-schemas.js';
import { PolicyExplainOutput, PolicyFileOutput, PolicyOutput } from './policy-schemas.js';
import { ReclamationRunOutput, ReclamationStatusOutput } from './reclamation-schemas.js';
import {
  bytes,
  count,
  Disk,
  DiskMapOutput,
  Failure,
  figures,
  JobOutput,
  RunOutput,
  ratio,
  timeMs,
  versioned,
  WireErrorSchema,
} from './schema-parts.js';
import { ScrubStartOutput, ScrubStatusOutput } from './scrub-schemas.js';
import { TrendsOutput } from './trends-schemas.js';
import {
  TrimForecastOutput,
  TrimNowOutput,
  TrimSettingsOutput,
  TrimStatusOutput,
} from './trim-schemas.js';

const ErrorOutput = z.strictObject({ ...versioned, error: WireErrorSchema });

const InitOutput = z.strictObject({
  ...versioned,
  kind: z.literal('extent'),
  poolId: z.uuid(),
  path: z.string(),
  extentBytes: bytes,
  replicaCount: count,
});

const DiskOutput = z.strictObject({ ...versioned, disk: Disk });
const DiskListOutput = z.strictObject({
  ...versioned,
  kind: z.literal('extent'),
  disks: z.array(Disk),
});
const DiskRemoveOutput = z.strictObject({
  ...versioned,
  diskId: z.uuid(),
  path: z.string(),
  removed: z.boolean(),
  run: RunOutput.nullable(),
});

const PutOutput = z.strictObject({
  ...versioned,
  storedCount: count,
  storedBytes: bytes,
  unsupported: z.record(z.string(), count),
  failed: z.array(Failure),
});

const GetOutput = z.strictObject({
  ...versioned,
  objectCount: count,
  readBytes: bytes,
  failed: z.array(Failure),
});

const RemoveOutput = z.strictObject({ ...versioned, objectCount: count, freedBytes: bytes });

const ListOutput = z.strictObject({
  ...versioned,
  objects: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(['file', 'symlink', 'directory']),
      sizeBytes: bytes,
      extentCount: count,
      mode: count,
      mtimeMs: z.number(),
      linkTarget: z.string().nullable(),
      storedAtMs: timeMs,
    }),
  ),
});

const ExtentListOutput = z.strictObject({
  ...versioned,
  /** Whether there are more than --limit let through. */
  truncated: z.boolean(),
  extents: z.array(
    z.strictObject({
      extentId: count,
      object: z.string(),
      extentIndex: count,
      sizeBytes: bytes,
      checksum: z.string().regex(/^[0-9a-f]{64}$/),
      generation: count,
      tier: z.enum(TIERS),
      heatTier: z.enum(TIERS),
      heat: z.number().nonnegative(),
      readCount: count,
      writeCount: count,
      lastAccessAtMs: timeMs.nullable(),
      fragmentCount: count,
      replicas: z.array(
        z.strictObject({
          diskPath: z.string(),
          runs: z.array(z.strictObject({ startBytes: bytes, lengthBytes: bytes })),
        }),
      ),
    }),
  ),
});

const StatusOutput = z.strictObject({
  ...versioned,
  kind: z.literal('extent'),
  poolId: z.uuid(),
  path: z.string(),
  extentBytes: bytes,
  replicaCount: count,
  objectCount: count,
  fileCount: count,
  contentBytes: bytes,
  disks: z.array(Disk),
  openRuns: z.array(RunOutput),
  governor: GovernorOutput,
  owner: z.string().nullable(),
  /** Null unless --audit asked for it. */
  auditProblems: z.array(z.string()).nullable(),
});

const RecoverOutput = z.strictObject({
  ...versioned,
  poolId: z.uuid(),
  objectCount: count,
  extentCount: count,
  incompleteObjects: z.array(z.string()),
  missingDisks: z.array(z.string()),
});

const AnalyzeOutput = z.strictObject({
  ...versioned,
  kind: z.literal('extent'),
  analyzedAtMs: timeMs,
  ...figures,
  recommendation: z.enum(['None', 'Consider', 'Recommended', 'Urgent']),
  reclaimableBytes: bytes,
  disks: z.array(
    z.strictObject({
      diskId: z.uuid(),
      path: z.string(),
      ...figures,
      averageFragmentsPerExtent: z.number().nonnegative(),
      sequentialRatio: ratio,
      freeBytes: bytes,
      largestFreeRunBytes: bytes,
      freeRuns: z.array(z.strictObject({ belowBytes: bytes.nullable(), runCount: count, bytes })),
      reclaimableBytes: bytes,
    }),
  ),
  tiers: z.array(z.strictObject({ tier: z.enum(TIERS), ...figures })),
  /** Null unless --map asked for them. */
  maps: z.array(DiskMapOutput).nullable(),
});

const EnqueuedOutput = z.strictObject({
  ...versioned,
  jobId: z.string(),
});

const DefragStartOutput = z.strictObject({
  ...versioned,
  dryRun: z.literal(false),
  intensity: z.enum(INTENSITIES),
  threads: count,
  jobId: z.string().nullable(),
  run: RunOutput.nullable(),
});

const DefragStatusOutput = z.strictObject({
  ...versioned,
  enabled: z.boolean(),
  running: z.boolean(),
  paused: z.boolean(),
  intensity: z.enum(INTENSITIES),
  threads: count,
  extentsProcessed: count,
  extentsDefragmented: count,
  bytesMoved: bytes,
  errors: count,
  startedAtMs: timeMs.nullable(),
  lastRunAtMs: timeMs.nullable(),
  estimatedRemainingMs: z.number().nonnegative().nullable(),
  run: RunOutput.nullable(),
  evacuation: RunOutput.nullable(),
  governor: GovernorOutput,
});

const AgentStatusOutput = z.strictObject({
  ...versioned,
  running: z.boolean(),
  pid: count.nullable(),
  version: z.string().nullable(),
  startedAtMs: timeMs.nullable(),
  httpUrl: z.string().nullable(),
  redis: z.string().nullable(),
  stateDirectory: z.string(),
  pools: z.array(
    z.strictObject({
      poolId: z.uuid(),
      path: z.string(),
      kind: z.enum(['extent', 'file-system']),
    }),
  ),
});

const JobListOutput = z.strictObject({ ...versioned, jobs: z.array(JobOutput) });
const JobDetailOutput = z.strictObject({ ...versioned, job: JobOutput });

/** Output schemas by command id. */
export const OUTPUT_SCHEMAS = {
  init: z.union([InitOutput, FsInitOutput]),
  'disk add': DiskOutput,
  'disk remove': DiskRemoveOutput,
  'disk list': z.union([DiskListOutput, FsDiskListOutput]),
  'disk health': DiskHealthOutput,
  put: PutOutput,
  get: GetOutput,
  rm: RemoveOutput,
  ls: ListOutput,
  'extent list': ExtentListOutput,
  status: z.union([StatusOutput, FsStatusOutput]),
  recover: RecoverOutput,
  'defrag analyze': z.union([AnalyzeOutput, FsAnalyzeOutput, EnqueuedOutput]),
  'defrag start': z.union([DefragStartOutput, DefragPlanOutput]),
  'defrag stop': DefragStatusOutput,
  'defrag pause': DefragStatusOutput,
  'defrag resume': DefragStatusOutput,
  'defrag status': DefragStatusOutput,
  'trim now': z.union([TrimNowOutput, TrimForecastOutput]),
  'trim status': TrimStatusOutput,
  'trim stop': TrimStatusOutput,
  'trim pause': TrimStatusOutput,
  'trim resume': TrimStatusOutput,
  'trim set': TrimSettingsOutput,
  'scrub start': ScrubStartOutput,
  'scrub status': ScrubStatusOutput,
  'scrub stop': ScrubStatusOutput,
  'scrub pause': ScrubStatusOutput,
  'scrub resume': ScrubStatusOutput,
  'policy set': PolicyOutput,
  'policy show': PolicyOutput,
  'policy edit': PolicyOutput,
  'policy validate': PolicyFileOutput,
  'policy explain': PolicyExplainOutput,
  'reclamation run': ReclamationRunOutput,
  'reclamation status': ReclamationStatusOutput,
  'reclamation stop': ReclamationRunOutput,
  'reclamation pause': ReclamationRunOutput,
  'reclamation resume': ReclamationRunOutput,
  'reclamation trends': TrendsOutput,
  history: HistoryOutput,
  'history verify': HistoryVerifyOutput,
  doctor: DoctorOutput,
  'agent status': AgentStatusOutput,
  'agent start': AgentStatusOutput,
  'agent stop': AgentStatusOutput,
  'jobs list': JobListOutput,
  'jobs show': JobDetailOutput,
  'jobs retry': JobDetailOutput,
  'jobs cancel': JobDetailOutput,
  error: ErrorOutput,
} as const;

export type Output<K extends keyof typeof OUTPUT_SCHEMAS> = z.infer<(typeof OUTPUT_SCHEMAS)[K]>;
export type RunView = z.infer<typeof RunOutput>;
export type DiskView = z.infer<typeof Disk>;
export type JobView = z.infer<typeof JobOutput>;
