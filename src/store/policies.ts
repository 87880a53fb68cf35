/** The policies of one pool, a row for each version; the newest holds. */

import {
  DEFAULT_POLICY,
  effectivePolicy,
  type Policy,
  type PolicyDocument,
} from '../domain/policy.js';
import { type Db, transaction } from './database.js';
import type { LedgerStore } from './ledger.js';

/** A pool from before there were policies goes on trimming, or not trimming, as its settings said. */
export const POLICY_STEP = `
CREATE TABLE policies (
  version INTEGER PRIMARY KEY AUTOINCREMENT,
  document TEXT NOT NULL,
  set_at_ms INTEGER NOT NULL,
  set_by TEXT NOT NULL
);
INSERT INTO policies (document, set_at_ms, set_by)
  SELECT json_object('preset', 'balanced', 'overrides', json_object('trim', json_object(
      'enabled', json(MAX(value) FILTER (WHERE key = 'trimEnabled')),
      'intensity', json(MAX(value) FILTER (WHERE key = 'trimIntensity')),
      'batchBytes', json(MAX(value) FILTER (WHERE key = 'trimBatchBytes')),
      'secureErase', json(MAX(value) FILTER (WHERE key = 'trimSecureErase'))))),
    CAST(unixepoch('subsec') * 1000 AS INTEGER), 'dynamicfs (from its settings)'
  FROM pool_settings WHERE key LIKE 'trim%' HAVING COUNT(*) = 4;
DELETE FROM pool_settings
  WHERE key IN ('trimEnabled', 'trimIntensity', 'trimBatchBytes', 'trimSecureErase');
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
  readonly #ledger: LedgerStore;

  constructor(db: Db, ledger: LedgerStore) {
    this.#db = db;
    this.#ledger = ledger;
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
    return transaction(this.#db, () => {
      const { version: oldVersion } = this.current();
      this.#db
        .prepare('INSERT INTO policies (document, set_at_ms, set_by) VALUES (?, ?, ?)')
        .run(JSON.stringify(document), setAtMs, setBy);
      const stored = this.current();
      this.#ledger.append({
        ...{ atMs: setAtMs, event: 'policy-set', actor: setBy, policyVersion: stored.version },
        figures: { oldVersion, newVersion: stored.version, document },
      });
      return stored;
    });
  }
}
