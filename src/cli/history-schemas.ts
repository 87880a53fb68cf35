/** What the history commands print with `--json`. */

import * as z from 'zod';
import { LEDGER_EVENTS, LEDGER_PROBLEMS } from '../domain/ledger.js';
import { count, timeMs, versioned } from './schema-parts.js';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** How many entries there are and the hash of the last: `<entryCount>:<lastHash>` for --expect. */
const Head = z.strictObject({ entryCount: count, lastHash: hash.nullable() });

const Entry = z.strictObject({
  index: count,
  atMs: timeMs,
  event: z.enum(LEDGER_EVENTS),
  actor: z.string(),
  reason: z.string().nullable(),
  policyVersion: count.nullable(),
  runId: count.nullable(),
  reclamationId: count.nullable(),
  figures: z.record(z.string(), z.unknown()),
  previousHash: hash.nullable(),
  hash: z.string(),
});

/** What somebody left in the place of an entry. */
const Unreadable = z.strictObject({
  index: count,
  unreadable: z.literal(true),
  hash: z.string(),
});

export const HistoryOutput = z.strictObject({
  ...versioned,
  /** The oldest first. */
  entries: z.array(z.union([Entry, Unreadable])),
  /** Null when somebody removed it. */
  head: Head.nullable(),
});

export const HistoryVerifyOutput = z.strictObject({
  ...versioned,
  whole: z.boolean(),
  entryCount: count,
  head: Head.nullable(),
  /** What --expect named; null without. */
  expected: Head.nullable(),
  problem: z
    .strictObject({
      kind: z.enum(LEDGER_PROBLEMS),
      /** The first entry that is wrong; null where it is no single one. */
      index: count.nullable(),
      message: z.string(),
    })
    .nullable(),
});
