/** The policies of one pool, a row for each version; the newest holds. */

import {
  DEFAULT_POLICY,
  effectivePolicy,
  type Policy,
  type PolicyDocument,
} from '../domain/policy.js';
import type { Db } from './database.js';

export const POLICY_STEP = `
CREATE TABLE policies (
  version INTEGER PRIMARY KEY AUTOINCREMENT,
  document TEXT NOT NULL,
  set_at_ms INTEGER NOT NULL,
  set_by TEXT NOT NULL
);
`;

export interface StoredPolicy {
  /** 0 for the default, which nobody set. */
  readonly version: number;
  readonly document: PolicyDocument;
  readonly setAtMs: number | null;
  readonly setBy: string | null;
}

export class PolicyStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  current(): StoredPolicy {
    const row = this.#db
      .prepare(
        `SELECT version, document, set_at_ms AS setAtMs, set_by AS setBy FROM policies
         ORDER BY version DESC LIMIT 1`,
      )
      .get() as (Omit<StoredPolicy, 'document'> & { document: string }) | undefined;
    if (!row) return { version: 0, document: DEFAULT_POLICY, setAtMs: null, setBy: null };
    return { ...row, document: JSON.parse(row.document) };
  }

  /** The policy that holds, with every field. */
  effective(): Policy {
    return effectivePolicy(this.current().document);
  }

  set(document: PolicyDocument, setAtMs: number, setBy: string): StoredPolicy {
    this.#db
      .prepare('INSERT INTO policies (document, set_at_ms, set_by) VALUES (?, ?, ?)')
      .run(JSON.stringify(document), setAtMs, setBy);
    return this.current();
  }
}
