/** What `--json` prints of the health of disks; see schemas.ts for the rules. */

import { z } from 'zod';
import { HEALTH_STATES } from '../domain/disk-health.js';
import { count, Disk, timeMs, versioned } from './schema-parts.js';

export const DiskHealthOutput = z.strictObject({
  ...versioned,
  disks: z.array(
    z.strictObject({
      diskId: z.uuid(),
      path: z.string(),
      condition: Disk.shape.condition,
      state: z.enum(HEALTH_STATES),
      /** Why it is not healthy. */
      reason: z.string().nullable(),
      sinceMs: timeMs.nullable(),
      /** Reads and writes that failed since it was last healthy. */
      errors: count,
      replicas: count,
      badReplicas: count,
      /** Extents with a replica here that have fewer good ones than they want. */
      shortExtents: count,
      /** What the agent does about it now. */
      underWay: z.string().nullable(),
    }),
  ),
});
