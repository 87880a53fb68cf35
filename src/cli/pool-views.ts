/** What commands show of a pool, whichever kind it is. */

import { MaintenanceError } from '../domain/errors.js';
import { fsDisks, fsStatus, fsTrimStatus } from './fs-views.js';
import { withEitherPool } from './pool-access.js';
import type { Output } from './schemas.js';
import { diskView, poolStatus, trimStatus } from './views.js';

export function showStatus(path: string, audit: boolean): Promise<Output<'status'>> {
  return withEitherPool<Output<'status'>>(path, 'read', {
    extent: (pool) => poolStatus(pool, audit),
    fileSystem: (pool) => {
      if (audit) throw noAudit();
      return fsStatus(pool);
    },
  });
}

export function listDisks(path: string): Promise<Output<'disk list'>> {
  return withEitherPool<Output<'disk list'>>(path, 'read', {
    extent: (pool) => ({ schemaVersion: 1, kind: 'extent', disks: pool.disks().map(diskView) }),
    fileSystem: fsDisks,
  });
}

export function showTrimStatus(path: string): Promise<Output<'trim status'>> {
  return withEitherPool(path, 'read', { extent: trimStatus, fileSystem: fsTrimStatus });
}

function noAudit(): MaintenanceError {
  return new MaintenanceError('ERR_UNSUPPORTED', '--audit is for extent pools', {
    nextStep: 'A mounted file system is checked by its own tool: e2fsck, xfs_repair or btrfs.',
  });
}
