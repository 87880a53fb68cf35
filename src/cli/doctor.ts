/** `doctor`: looks at a mount and at what lies below it; changes nothing. */

import { closeSync, openSync } from 'node:fs';
import { MaintenanceError } from '../domain/errors.js';
import type { XfsFacts } from '../domain/findings.js';
import { xfsGeometry } from '../kernel/swap-extents.js';
import type { FsMount } from '../pool/fs-pool/detect.js';
import { examineMount } from '../pool/fs-pool/doctor.js';
import { mountedOf } from './fs-access.js';
import { locate } from './pool-access.js';
import { printable } from './printable.js';
import type { Output } from './schemas.js';

/** @throws MaintenanceError ERR_UNSUPPORTED for an extent pool, ERR_DISK_UNAVAILABLE. */
export function examine(poolPath: string): Output<'doctor'> {
  const located = locate(poolPath);
  if (!located) throw noMount(poolPath);
  const mount = mountedOf(located);
  return {
    schemaVersion: 1,
    kind: 'file-system',
    path: mount.path,
    fsType: mount.entry.typeName,
    findings: examineMount(mount, xfsFactsOf(mount)),
  };
}

/** @returns null where it is no XFS, or cannot be asked. */
function xfsFactsOf({ fsType, path }: FsMount): XfsFacts | null {
  if (fsType !== 'xfs') return null;
  const fd = openSync(path, 'r');
  try {
    return xfsGeometry({ fd, path });
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

export function doctorText({ path, findings }: Output<'doctor'>): string {
  const lines = [`Examined ${printable(path)}:`];
  for (const { severity, layer, what, fix } of findings) {
    lines.push(`  ${severity.padEnd(7)}  ${layer}: ${printable(what)}`);
    if (fix !== null) lines.push(`           Fix: ${printable(fix)}`);
  }
  return lines.join('\n');
}

function noMount(path: string): MaintenanceError {
  return new MaintenanceError('ERR_UNSUPPORTED', `${path} is not a mounted file system`, {
    nextStep:
      'Name a mount point. An extent pool is examined by `dynamicfs status --audit` instead.',
  });
}
