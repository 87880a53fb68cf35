/** What is remembered of each trimmed window of a mounted file system. */

import type { Db } from './database.js';

export class TrimWindowStore {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }
}
