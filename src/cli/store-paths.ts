/** `put`: what the arguments name, as entries, with progress and Ctrl-C. */

import { MaintenanceError } from '../domain/errors.js';
import type { Tier } from '../domain/heat.js';
import type { ExtentPool } from '../pool/extent-pool/extent-pool.js';
import { checkObjectName, FileTree } from '../pool/extent-pool/file-tree.js';
import type { PutEntry } from '../pool/extent-pool/put-source.js';
import { abortOnInterrupt } from './interrupt.js';
import { withPoolAtWork } from './pool-access.js';
import { startProgress } from './progress.js';
import { throwOnlyFailure } from './report-error.js';
import type { Output } from './schemas.js';

export interface StoreOptions {
  readonly name: string | null;
  readonly tier: Tier;
  readonly replicaCount: number | null;
  readonly quiet: boolean;
}

const STANDARD_INPUT = '-';

export function storePaths(
  poolPath: string,
  paths: readonly string[],
  options: StoreOptions,
): Promise<Output<'put'>> {
  const sources = paths.map((path) => sourceOf(path, paths.length, options.name));
  return withPoolAtWork(poolPath, 'store-extents', async (pool) => {
    const trees = sources.filter((source) => source instanceof FileTree);
    const report = await storeSources(pool, sources, options);
    const unsupported: Record<string, number> = {};
    for (const tree of trees) {
      for (const [reason, count] of Object.entries(tree.report.unsupported)) {
        unsupported[reason] = (unsupported[reason] ?? 0) + count;
      }
    }
    const unread = trees.flatMap((tree) => tree.report.failed).map(unreadable);
    throwOnlyFailure(report.storedCount, [...report.failed, ...unread]);
    return {
      schemaVersion: 1,
      storedCount: report.storedCount,
      storedBytes: report.storedBytes,
      unsupported,
      failed: [...report.failed, ...unread].map(({ name, error }) => ({
        name,
        error: { ...error, details: { ...error.details } },
      })),
    };
  });
}

async function storeSources(
  pool: ExtentPool,
  sources: readonly Iterable<PutEntry>[],
  options: StoreOptions,
) {
  const { tier, replicaCount, quiet } = options;
  const progress = await startProgress({ label: 'put', unit: 'bytes', total: 0, quiet });
  const interrupt = abortOnInterrupt();
  // Else a put of standard input would wait for its next byte, or store what came so far as whole.
  const abandonInput = () => process.stdin.destroy(interrupted());
  if (sources.some((source) => !(source instanceof FileTree))) {
    interrupt.signal.addEventListener('abort', abandonInput);
  }
  try {
    return await pool.put(chain(sources), {
      tier,
      ...(replicaCount === null ? {} : { replicaCount }),
      signal: interrupt.signal,
      onProgress: (bytes, count) => progress.update(bytes, `${count} objects`),
    });
  } finally {
    interrupt.dispose();
    progress.stop();
  }
}

function sourceOf(path: string, pathCount: number, name: string | null): Iterable<PutEntry> {
  if (name !== null && pathCount > 1) {
    throw new MaintenanceError('ERR_USAGE', '--name goes with one path', {
      nextStep: 'Store them one by one, or without --name.',
    });
  }
  if (path !== STANDARD_INPUT) return new FileTree(path, name ?? undefined);
  if (name === null) {
    throw new MaintenanceError('ERR_USAGE', 'standard input needs a name', {
      nextStep: 'Add --name NAME.',
    });
  }
  const entry: PutEntry = {
    name: checkObjectName(name),
    kind: 'file',
    sizeBytes: 0,
    mode: 0o644,
    mtimeMs: Date.now(),
    linkTarget: null,
    sourcePath: null,
    content: process.stdin,
  };
  return [entry];
}

function* chain<T>(parts: readonly Iterable<T>[]): Generator<T> {
  for (const part of parts) yield* part;
}

function unreadable(message: string) {
  const error = new MaintenanceError('ERR_PERMISSION', message).toWire();
  return { name: message, error };
}

function interrupted(): MaintenanceError {
  return new MaintenanceError('ERR_INTERRUPTED', 'interrupted');
}
