/** What `--json` prints of the health of disks; see schemas.ts for the rules. */

import * as z from 'zod';
import { HEALTH_STATES } from '../domain/disk-health.js';
import { bytes, count, Disk, timeMs, versioned } from './schema-parts.js';

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
      trim: z.strictObject({
        /** Whether discards get through to the drive; null where no block device is known. */
        reachesDrive: z.boolean().nullable(),
        whyNot: z.string().nullable(),
        pendingBytes: bytes,
        pendingRanges: count,
        /** Of the pending ones: those that failed before. */
        failedBytes: bytes,
        failedRanges: count,
        /**
         * The kernel's counters of the devices below, by their names: since the machine started,
         * whoever asked, and whatever else had that name. Null for a directory, which shares its device.
         */
        kernelDiscardedBytes: bytes.nullable(),
      }),
      /** What this pool did to this disk, by its own count, over all processes and restarts. */
      counted: z.strictObject({
        /** When the disk was added, or the pool brought to the version that counts. */
        sinceMs: timeMs,
        /** Content in whole blocks, journal and superblocks. */
        writtenBytes: bytes,
        /** Discards of a device, holes punched for a directory. */
        trimCalls: count,
        trimBytes: bytes,
        /** Of these, the ones that failed, whether or not a later one did not. */
        failedTrimCalls: count,
        failedTrimBytes: bytes,
      }),
      /** As the agent last heard, once an hour; empty before. */
      drives: z.array(
        z.strictObject({
          device: z.string(),
          readAtMs: timeMs,
          /** Why nothing is known of it. */
          problem: z.string().nullable(),
          model: z.string().nullable(),
          protocol: z.string().nullable(),
          passed: z.boolean().nullable(),
          /** Of its rated life; above 1 beyond it. */
          wearRatio: z.number().nonnegative().nullable(),
          writtenBytes: bytes.nullable(),
          powerOnHours: z.number().nonnegative().nullable(),
          mediaErrors: z.number().nonnegative().nullable(),
          temperatureC: z.number().nullable(),
        }),
      ),
    }),
  ),
});
