/**
 * What a pool may hold at an instant between two steps, and what is wrong with one that was found: for
 * tests that cut the power. Of the step under way, all or nothing of each object may be there.
 */

import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { ByteRun } from '../../src/domain/units.js';
import { CATALOGUE_FILE } from '../../src/pool/extent-pool/catalogue.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { verifyDiskRecords } from '../../src/pool/extent-pool/verify-disk-records.js';
import { backingOf, readAll } from './pool-fixture.js';

/** Since that step an object has this content, or is gone; null for before the first step. */
type Version<S extends string> = readonly [since: S | null, bytes: Buffer | null];
/** Of every name, in the order of the steps; an object is not there before its first one. */
export type Versions<S extends string> = Readonly<Record<string, readonly Version<S>[]>>;

export class PoolHistory<S extends string> {
  readonly #steps: readonly S[];
  readonly #versions: Versions<S>;

  constructor(steps: readonly S[], versions: Versions<S>) {
    this.#steps = steps;
    this.#versions = versions;
  }

  /** Contents that are there from that step on, by name. */
  contents(since: S | null): Record<string, Buffer> {
    const found: Record<string, Buffer> = {};
    for (const [name, versions] of Object.entries(this.#versions)) {
      const bytes = versions.find((version) => version[0] === since)?.[1];
      if (bytes) found[name] = bytes;
    }
    return found;
  }

  /** Objects that the step after these may have changed already. */
  namesUnderWay(doneCount: number): string[] {
    return Object.keys(this.#versions).filter((name) => this.#next(name, doneCount) !== undefined);
  }

  /**
   * Compares names and contents, and every replica as it lies on its disk.
   *
   * @param doneCount steps that were acknowledged.
   * @param isBad a replica that is known to be bad at this instant.
   */
  async problems(
    pool: ExtentPool,
    doneCount: number,
    isBad: (name: string, diskId: number) => boolean = () => false,
  ): Promise<string[]> {
    const problems: string[] = [];
    for (const name of Object.keys(this.#versions)) {
      const found = pool.metadata(name) ? await readAll(pool, name) : null;
      const isRight = this.#allowed(name, doneCount).some((bytes) =>
        bytes && found ? bytes.equals(found) : bytes === found,
      );
      if (!isRight) problems.push(`${name} is ${found ? 'another one' : 'not there'}`);
      if (!isRight || !found) continue;
      const bad = badReplicas(pool, name, found).filter(({ diskId }) => !isBad(name, diskId));
      problems.push(...bad.map(({ what }) => what));
    }
    const strays = pool.list().filter(({ name }) => !(name in this.#versions));
    return [...problems, ...strays.map(({ name }) => `${name} is there`)];
  }

  #next(name: string, doneCount: number): Version<S> | undefined {
    const step = this.#steps[doneCount];
    return this.#versions[name]?.find(([since]) => since !== null && since === step);
  }

  /** Contents that an object may have, and null where it may be missing. */
  #allowed(name: string, doneCount: number): (Buffer | null)[] {
    const done = this.#steps.slice(0, doneCount);
    const isDone = (since: S | null) => since === null || done.includes(since);
    const current = this.#versions[name]?.findLast(([since]) => isDone(since))?.[1] ?? null;
    const next = this.#next(name, doneCount);
    return next ? [current, next[1]] : [current];
  }
}

/** What is wrong with the pool itself: its space, its catalogue, and what the disks record of themselves. */
export function structureProblems(pool: ExtentPool): string[] {
  const { problems, disks } = pool.audit();
  const reserved = disks.filter(({ reservedBytes }) => reservedBytes !== 0);
  return [
    ...problems,
    ...reserved.map(({ path, reservedBytes }) => `${path}: nobody's ${reservedBytes} reserved`),
    ...recordProblems(pool),
    ...catalogueProblems(pool),
  ];
}

/** Of superblocks and journals, which a recovery would need. */
function recordProblems({ context }: ExtentPool): string[] {
  return context.store.disks.all().flatMap(({ diskId, path }) => {
    const found = verifyDiskRecords(context, diskId, { runId: 0, repair: false });
    return found === 'good' ? [] : [`${path}: its records are ${found}`];
  });
}

function catalogueProblems(pool: ExtentPool): string[] {
  const catalogue = new Database(join(pool.path, CATALOGUE_FILE), { readonly: true });
  const said = String(catalogue.pragma('integrity_check', { simple: true }));
  catalogue.close();
  return said === 'ok' ? [] : [said];
}

/** Each as it is on its disk, not only the one that a read prefers. */
function badReplicas(
  pool: ExtentPool,
  name: string,
  bytes: Buffer,
): { diskId: number; what: string }[] {
  const { store, extentBytes } = pool.context;
  return pool.extents(name).flatMap(({ extentId, sizeBytes }, index) => {
    const startBytes = index * extentBytes;
    const expected = bytes.subarray(startBytes, startBytes + sizeBytes);
    const bad = store.extents.replicas(extentId).filter((replica) => {
      const disk = store.disks.get(replica.diskId);
      const lies = disk ? readRuns(backingOf(disk), replica.runs) : Buffer.alloc(0);
      return !lies.subarray(0, sizeBytes).equals(expected);
    });
    return bad.map(({ diskId }) => ({
      diskId,
      what: `${name}: extent ${index} is bad on disk ${diskId}`,
    }));
  });
}

function readRuns(path: string, runs: readonly ByteRun[]): Buffer {
  const fd = openSync(path, 'r');
  try {
    const parts = runs.map(({ startBytes, lengthBytes }) => {
      const part = Buffer.alloc(lengthBytes);
      readSync(fd, part, 0, lengthBytes, startBytes);
      return part;
    });
    return Buffer.concat(parts);
  } finally {
    closeSync(fd);
  }
}
