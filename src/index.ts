/**
 * The engine as a library: what the command line can do with a pool, TypeScript programs can too.
 * Background work (defragmentation, trim) is the agent's; see docs/architecture.md.
 */

export { type ErrorCode, MaintenanceError, type WireError } from './domain/errors.js';
export type { FragmentationAnalysis } from './domain/fragmentation.js';
export type { Tier } from './domain/heat.js';
export type { AddDiskOptions, CreatePoolOptions } from './pool/extent-pool/create.js';
export { type DiskInfo, ExtentPool } from './pool/extent-pool/extent-pool.js';
export { FileTree } from './pool/extent-pool/file-tree.js';
export type { GetOptions, GetReport } from './pool/extent-pool/get.js';
export type { OpenPoolOptions } from './pool/extent-pool/open-options.js';
export type { PutOptions, PutReport } from './pool/extent-pool/put.js';
export type { PutEntry } from './pool/extent-pool/put-source.js';
export type { ReadOptions } from './pool/extent-pool/read-object.js';
export { type RecoverReport, recoverPool } from './pool/extent-pool/recover.js';
export { rewriteReplica, rewriteReplicas } from './pool/extent-pool/rewrite.js';
export { pickForScrub, verifyPicked } from './pool/extent-pool/scrub.js';
export { forecastTrim, type TrimReceipt, trimBatch } from './pool/extent-pool/trim.js';
export { TaskGate } from './pool/task-gate.js';
