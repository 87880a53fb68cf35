/** What is shown of a mounted file system. */

import { closeSync, openSync, statfsSync } from 'node:fs';
import { rotates } from '../domain/device-layers.js';
import { btrfsDevices } from '../kernel/btrfs-devices.js';
import { readLayers } from '../kernel/device-layers.js';
import { discardLimits, loopBacking } from '../kernel/discard-limits.js';
import type { FsMount } from '../pool/fs-pool/detect.js';
import type { FsPool } from '../pool/fs-pool/fs-pool.js';
import { governorView } from './governor-view.js';
import type { Output } from './schemas.js';
import { runView } from './views.js';

export type FsStatusView = Extract<Output<'status'>, { kind: 'file-system' }>;
export type FsDiskListView = Extract<Output<'disk list'>, { kind: 'file-system' }>;

export function fsStatus(pool: FsPool): FsStatusView {
  const { store } = pool.context;
  const settings = pool.context.settings();
  const mount = pool.context.findMount();
  const { lastAnalysis } = settings;
  return {
    schemaVersion: 1,
    kind: 'file-system',
    poolId: pool.id,
    path: pool.path,
    fsType: settings.fsType,
    fileSystemUuid: settings.fileSystemUuid,
    condition: conditionOf(mount),
    options: mount ? [...mount.entry.options, ...mount.entry.superOptions] : [],
    ...spaceOf(mount),
    disks: devicesOf(mount),
    openRuns: store.runs.openRuns().map((run) => runView(pool, run)),
    governor: governorView(pool),
    openMoveCount: store.intents.count(),
    owner: store.owner.read()?.holder ?? null,
    lastAnalysis: lastAnalysis
      ? {
          analyzedAtMs: lastAnalysis.analyzedAtMs,
          fragmentationRatio: lastAnalysis.fragmentationRatio,
          recommendation: lastAnalysis.recommendation,
        }
      : null,
  };
}

export function fsDisks(pool: FsPool): FsDiskListView {
  const mount = pool.context.findMount();
  return {
    schemaVersion: 1,
    kind: 'file-system',
    condition: conditionOf(mount),
    ...spaceOf(mount),
    disks: devicesOf(mount),
  };
}

export function fsTrimStatus(pool: FsPool): Output<'trim status'> {
  const { store } = pool.context;
  const totals = store.totals.read();
  const policy = store.policies.effective();
  const run = store.runs.open('trim') ?? store.runs.last('trim');
  return {
    schemaVersion: 1,
    operations: totals.trim_operations,
    requestedBytes: totals.trim_bytes_requested,
    confirmedBytes: totals.trim_bytes_confirmed,
    reclaimedBytes: totals.trim_bytes_reclaimed,
    ranges: totals.trim_ranges,
    failures: totals.trim_failures,
    unsupported: totals.trim_unsupported,
    pendingBytes: null,
    pendingRanges: null,
    lastTrimAtMs: totals.trim_last_at_ms || null,
    enabled: policy.enabled && policy.trim.enabled,
    intensity: policy.trim.intensity,
    batchBytes: policy.trim.batchBytes,
    secureErase: false,
    run: run && runView(pool, run),
    governor: governorView(pool, 'trim'),
    devices: run ? store.trimDevices.of(run.runId) : [],
  };
}

function conditionOf(mount: FsMount | null): FsStatusView['condition'] {
  if (!mount) return 'missing';
  return mount.isReadOnly ? 'read-only' : 'online';
}

function spaceOf(mount: FsMount | null) {
  if (!mount) return { capacityBytes: null, usedBytes: null, freeBytes: null };
  const { blocks, bfree, bsize } = statfsSync(mount.path);
  return {
    capacityBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    freeBytes: bfree * bsize,
  };
}

function devicesOf(mount: FsMount | null): FsStatusView['disks'] {
  if (!mount) return [];
  const space = deviceSpaceOf(mount);
  return mount.devices.map(({ name, path }) => {
    const { granularityBytes, maxBytes, sizeBytes } = discardLimits(name);
    const layers = readLayers(name);
    return {
      path,
      capacityBytes: sizeBytes,
      ...(space.get(path) ?? { usedBytes: null, freeBytes: null }),
      rotational: layers && rotates(layers),
      discardGranularityBytes: granularityBytes,
      discardMaxBytes: maxBytes,
      backingPath: loopBacking(name)?.path ?? null,
    };
  });
}

type DeviceSpace = Pick<FsStatusView['disks'][number], 'usedBytes' | 'freeBytes'>;

/** By path. Btrfs gives each device its chunks; elsewhere the one device has what the mount has. */
function deviceSpaceOf(mount: FsMount): Map<string, DeviceSpace> {
  if (mount.fsType !== 'btrfs') {
    const { usedBytes, freeBytes } = spaceOf(mount);
    return new Map(mount.devices.map(({ path }) => [path, { usedBytes, freeBytes }]));
  }
  let fd: number;
  try {
    fd = openSync(mount.path, 'r');
  } catch {
    // Whoever may not open it still sees the rest.
    return new Map();
  }
  try {
    return new Map(
      btrfsDevices({ fd, path: mount.path }).map(({ path, sizeBytes, chunkBytes }) => [
        path,
        { usedBytes: chunkBytes, freeBytes: sizeBytes - chunkBytes },
      ]),
    );
  } finally {
    closeSync(fd);
  }
}
