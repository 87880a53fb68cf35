/**
 * A disk that hangs, answers, and hangs again, ever anew: each time a read that waits for it is given up.
 * The read then asks other disks for what they have, and ends with an error where they have nothing.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { notAnswering } from '../../src/kernel/bounded-io.js';
import type { ExtentPool } from '../../src/pool/extent-pool/extent-pool.js';
import { WorkerPool } from '../../src/pool/worker-pool.js';
import {
  backingFiles,
  checksum,
  closePool,
  content,
  makePool,
  openPool,
  putFiles,
  readAll,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

/** No disk of these tests hangs: what waits for one is given up as if it did. */
class FlappingWorkers extends WorkerPool {
  readonly flapping = new Set<string>();
  givenUpCount = 0;

  override run: WorkerPool['run'] = (kind, task, paths = []) => {
    const done = super.run(kind, task, paths);
    for (const path of new Set(paths)) if (this.flapping.has(path)) void this.#giveUpSoon(path);
    return done;
  };

  async #giveUpSoon(path: string): Promise<void> {
    await Promise.resolve();
    this.givenUpCount += 1;
    this.giveUp(path, notAnswering(path));
  }
}

const BIG = content('big', 3 * MIB);

describe('a disk that hangs ever anew', () => {
  let workers: FlappingWorkers;
  let pool: ExtentPool;
  let disks: string[];

  beforeEach(async () => {
    const made = makePool({ diskCount: 2, extentBytes: MIB, replicaCount: 2 });
    await putFiles(made, { big: BIG, small: content('small', 100) });
    await closePool(made);
    workers = new FlappingWorkers(2);
    pool = openPool(made.path, { workers });
    disks = backingFiles(pool);
  });
  afterEach(() => workers.close());

  it('is given up once by a read, which then takes what it wants from the other disk', async () => {
    workers.flapping.add(disks[0] as string);
    expect(checksum(await readAll(pool, 'big'))).toBe(checksum(BIG));
    // Once for each of the extents that are read side by side.
    expect(workers.givenUpCount).toBeLessThanOrEqual(3);
  });

  it('is given up once by a `get` of many objects', async () => {
    workers.flapping.add(disks[0] as string);
    const directory = tempDirectory('got');
    expect(await pool.get('', directory)).toMatchObject({ objectCount: 2, failed: [] });
    expect(checksum(readFileSync(join(directory, 'big')))).toBe(checksum(BIG));
    expect(workers.givenUpCount).toBe(1);
  });

  it('ends a read that no other disk can serve with the names of object and disk', async () => {
    for (const disk of disks) workers.flapping.add(disk);
    await expect(readAll(pool, 'small')).rejects.toMatchObject({
      code: 'ERR_DISK_UNAVAILABLE',
      message: expect.stringMatching(/^small: .*dynamicfs\.data does not answer/),
      nextStep: expect.stringContaining('dmesg'),
    });
  });

  it('fails each object of a `get` that no other disk can serve', async () => {
    for (const disk of disks) workers.flapping.add(disk);
    const { objectCount, failed } = await pool.get('', tempDirectory('got'));
    expect(objectCount).toBe(0);
    expect(failed).toMatchObject([
      { name: 'big', error: { code: 'ERR_DISK_UNAVAILABLE' } },
      {
        name: 'small',
        error: { message: expect.stringMatching(/^small: .*dynamicfs\.data does not answer/) },
      },
    ]);
  });
});
