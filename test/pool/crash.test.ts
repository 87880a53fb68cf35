/**
 * Processes that are killed, and processes that write at the same time. A child does the real thing,
 * dies at the given point, and the next opening finds a sound pool with whole objects.
 */

import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { lookAtDisks } from '../../src/pool/extent-pool/disk-watch.js';
import { recoverPool } from '../../src/pool/extent-pool/recover.js';
import { runTypeScript } from '../support/child.js';
import {
  checksum,
  closePool,
  content,
  expectSound,
  inventory,
  makePool,
  openPool,
  putFiles,
} from '../support/pool-fixture.js';
import { tempDirectory } from '../support/temp-directory.js';

const OLD = content('old', 3 * MIB);
/** What the child stores; made there from the same seed. */
const NEW = content('new', 5 * MIB);

const CONTENT = `
  import { createCipheriv, createHash } from 'node:crypto';
  const content = (seed, sizeBytes) => {
    const key = createHash('sha256').update(String(seed)).digest().subarray(0, 16);
    return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
  };
`;

const PUT = `
  ${CONTENT}
  import { ExtentPool } from './src/pool/extent-pool/extent-pool.ts';
  const pool = ExtentPool.open(process.env.POOL);
  await pool.writeExtent('replaced', content('new', 5 * 1048576));
  await pool.writeExtent('added', content('new', 5 * 1048576));
  await pool.close();
`;

const REWRITE = `
  import { ExtentPool } from './src/pool/extent-pool/extent-pool.ts';
  import { rewriteReplica } from './src/pool/extent-pool/rewrite.ts';
  const pool = ExtentPool.open(process.env.POOL);
  for (const { extentId } of pool.extents('replaced')) {
    await rewriteReplica(pool.context, { extentId, diskId: 1 }, 'evacuate');
  }
  await pool.close();
`;

const NEW_JOURNAL = `
  import { ExtentPool } from './src/pool/extent-pool/extent-pool.ts';
  import { rewriteJournal } from './src/pool/extent-pool/snapshot.ts';
  const { context } = ExtentPool.open(process.env.POOL);
  rewriteJournal(context, context.store.disks.get(1));
`;

const TRIM = `
  import { ExtentPool } from './src/pool/extent-pool/extent-pool.ts';
  import { trimBatch } from './src/pool/extent-pool/trim.ts';
  const pool = ExtentPool.open(process.env.POOL);
  pool.remove('garbage');
  const disk = pool.context.store.disks.get(1);
  await trimBatch(pool.context, { disk, fromBytes: 0, bytesMax: 1e9, secureErase: true });
  await pool.close();
`;

async function crash(
  program: string,
  point: string,
  devices: readonly number[] = [1, 3],
): Promise<string> {
  const pool = makePool({
    diskCount: 3,
    devices,
    replicaCount: 2,
    extentBytes: MIB,
    capacityBytes: 64 * MIB,
  });
  await putFiles(pool, { replaced: OLD, garbage: OLD });
  await closePool(pool);
  const end = await runTypeScript(program, { POOL: pool.path, DYNAMICFS_CRASH_AT: point });
  expect(end.stderr).toBe('');
  expect(end.signal).toBe('SIGKILL');
  return pool.path;
}

describe('a process that is killed', () => {
  it.each([
    'put-reserved',
    'put-written',
    'put-journaled',
    'put-journaled:2',
    'put-committed',
    'put-committed:2',
  ])('at %s leaves each object old or new, whole, and nothing reserved', async (point) => {
    const path = await crash(PUT, point);
    const pool = openPool(path);
    expectSound(pool);
    const found = await inventory(pool);
    expect([checksum(OLD), checksum(NEW)]).toContain(found.replaced);
    expect([undefined, checksum(NEW)]).toContain(found.added);
    expect(found.garbage).toBe(checksum(OLD));
    expect(found.replaced === checksum(NEW)).toBe(/committed|:2/.test(point));

    // The pool can be written, and the disks alone tell the same.
    await putFiles(pool, { later: OLD });
    const [disk] = pool.disks();
    await closePool(pool);
    for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true });
    await recoverPool(path, [disk?.path ?? '']);
    const recovered = openPool(path);
    expect(await inventory(recovered)).toEqual({ ...found, later: checksum(OLD) });
    expectSound(recovered);
  });

  it.each([
    'rewrite-reserved',
    'rewrite-read',
    'rewrite-written',
    'rewrite-synced',
    'rewrite-verified',
    'rewrite-before-swap',
    'rewrite-journaled',
    'rewrite-swapped',
  ])('at %s leaves every extent with verified replicas, as many as before', async (point) => {
    const path = await crash(REWRITE, point);
    const pool = openPool(path);
    expectSound(pool);
    expect(await inventory(pool)).toEqual({ replaced: checksum(OLD), garbage: checksum(OLD) });
    expect(pool.context.store.repairs.all()).toEqual([]);
  });

  it.each(
    [
      'discard-marked',
      'discard-erased',
      'discard-punched',
      'discard-confirmed',
      'discard-freed',
    ].flatMap((point) => [
      { point, where: 'directory', devices: [] },
      { point, where: 'device', devices: [1] },
    ]),
  )('at $point of a $where leaves the space pending or free, and no data harmed', async (one) => {
    const path = await crash(TRIM, one.point, one.devices);
    const pool = openPool(path);
    expectSound(pool);
    expect(pool.context.store.space.totals(1).discardingBytes).toBe(0);
    expect(await inventory(pool)).toEqual({ replaced: checksum(OLD) });
  });
});

it('an agent writes on where a command died that wrote a new journal', async () => {
  const agent = makePool({ diskCount: 1, extentBytes: MIB });
  await putFiles(agent, { before: OLD });
  const crashing = { POOL: agent.path, DYNAMICFS_CRASH_AT: 'journal-renewed' };
  const end = await runTypeScript(NEW_JOURNAL, crashing);
  expect(end.signal).toBe('SIGKILL');

  await putFiles(agent, { after: NEW });
  lookAtDisks(agent.context, 60_000);
  await putFiles(agent, { later: OLD });
  // The disks alone, as they are while the agent runs: closing or opening the pool would mend them.
  const [disk] = agent.disks();
  const copy = join(tempDirectory('copy'), 'pool');
  const diskCopy = `${copy}-disk`;
  cpSync(disk?.path ?? '', diskCopy, { recursive: true });
  await recoverPool(copy, [diskCopy]);
  const found = { before: checksum(OLD), after: checksum(NEW), later: checksum(OLD) };
  expect(await inventory(openPool(copy))).toEqual(found);
});

it('two processes that put into one pool at once do not get in each other’s way', async () => {
  const pool = makePool({ diskCount: 2, replicaCount: 2, extentBytes: MIB });
  const program = `
    ${CONTENT}
    import { ExtentPool } from './src/pool/extent-pool/extent-pool.ts';
    const pool = ExtentPool.open(process.env.POOL);
    for (let n = 0; n < 15; n += 1) {
      const name = process.env.WHO + '/' + n;
      await pool.writeExtent(name, content(name, 100_000 * (1 + n)));
      await pool.writeExtent('shared', content(name, 300_000));
      if (n % 3 === 2) pool.remove(process.env.WHO + '/' + (n - 1));
    }
    await pool.close();
  `;
  const ends = await Promise.all(
    ['one', 'two'].map((WHO) => runTypeScript(program, { POOL: pool.path, WHO })),
  );
  expect(ends.map(({ code, stderr }) => ({ code, stderr }))).toEqual([
    { code: 0, stderr: '' },
    { code: 0, stderr: '' },
  ]);
  const found = await inventory(pool);
  for (const who of ['one', 'two']) {
    for (let n = 0; n < 15; n += 1) {
      const name = `${who}/${n}`;
      const expected = n % 3 === 1 ? undefined : checksum(content(name, 100_000 * (1 + n)));
      expect(found[name]).toBe(expected);
    }
  }
  const shared = ['one/14', 'two/14'].map((name) => checksum(content(name, 300_000)));
  expect(shared).toContain(found.shared);
  expectSound(pool);
});
