/**
 * The examples of the user's specification, as it writes them, on a pool that is really fragmented.
 *
 * Strategy: what a command prints is compared with the specification line by line, with the values
 * taken out of both. Lines that the specification does not have may come between, in no other order.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliPool, emptyPool, fragmentedPool } from '../support/cli-pools.js';
import { CliNode, ofExtents } from '../support/cli-run.js';

const node = new CliNode();
let pool: CliPool;

beforeAll(async () => {
  pool = await fragmentedPool({ diskCount: 2 });
});

afterAll(() => node.stop());

/** Numbers, units and states vary; words and their order do not. */
function shapeOf(line: string): string {
  return line
    .replace(/\b[0-9a-f]{6}:$/, 'ID:')
    .replace(/\b(true|false)\b/, 'BOOL')
    .replace(/: (Low|Medium|High)$/, ': INTENSITY')
    .replace(/: (None|Consider|Recommended|Urgent)$/, ': RECOMMENDATION')
    .replace(/\d+(\.\d+)?/g, 'N')
    .replace(/N (B|KB|MB|GB)\b/, 'N UNIT');
}

function expectInOrder(printed: string, specified: string): void {
  const lines = printed.split('\n').map(shapeOf);
  let from = 0;
  for (const line of specified.split('\n').map(shapeOf)) {
    const at = lines.indexOf(line, from);
    expect({ line, printed, found: at >= 0 }).toMatchObject({ found: true });
    from = at + 1;
  }
}

const ANALYSIS = `Fragmentation Analysis:
  Total extents: 1000
  Fragmented extents: 350
  Fragmentation ratio: 35.00%
  Recommendation: Recommended

Per-Disk Statistics:
  Disk abc123:
    Total extents: 500
    Fragmented: 200
    Ratio: 40.00%`;

const DEFRAG_STATUS = `Defragmentation Status:
  Running: true
  Paused: false
  Intensity: Medium
  Extents processed: 150
  Extents defragmented: 75
  Bytes moved: 524288000 (500.00 MB)
  Errors: 0`;

const TRIM_DONE = `TRIM completed
  Bytes reclaimed: 10737418240 (10.00 GB)`;

const TRIM_STATUS = `TRIM Status:
  Total operations: 5
  Total bytes trimmed: 53687091200 (50.00 GB)
  Total ranges trimmed: 1500
  Failed operations: 0
  Pending bytes: 0
  Pending ranges: 0
  Last TRIM: 3600 seconds ago`;

describe('the examples of the specification', () => {
  it.each(['defrag-analyze', 'defrag analyze'])('%s --pool', async (command) => {
    expectInOrder(await node.text(...command.split(' '), '--pool', pool.path), ANALYSIS);
  });

  it('defrag-start --intensity medium, defrag-status until it is done', async () => {
    const end = await node.run(['defrag-start', '--pool', pool.path, '--intensity', 'medium']);
    expect(end.stdout).toBe(
      "Defragmentation started with medium intensity\nUse 'defrag-status' to check progress\n",
    );
    expect(end.stderr).toMatch(/^Started the agent in the background \(pid \d+, log \S+\)\n$/);

    let status = await node.text('defrag-status', '--pool', pool.path);
    for (let tries = 0; status.includes('Running: true') && tries < 100; tries += 1) {
      await sleep(100);
      status = await node.text('defrag', 'status', '-p', pool.path);
    }
    expectInOrder(status, DEFRAG_STATUS);
    expect(status).toContain('  Intensity: Medium\n');
    expect(status).toMatch(/ {2}Extents defragmented: [1-9]\d*\n {2}Bytes moved: [1-9]/);
    const after = await node.text('defrag-analyze', '--pool', pool.path);
    expect(after).toContain('  Fragmented extents: 0\n');
  });

  it('defrag-stop', async () => {
    expect(await node.text('defrag-stop', '--pool', pool.path)).toMatch(/^Defragmentation stopped/);
    expect(await node.text('defrag-status', '--pool', pool.path)).toContain('  Enabled: false\n');
  });

  it('trim-now --disk, then the whole pool', async () => {
    const [first = '', second = ''] = pool.disks;
    const one = await node.text('trim-now', '--pool', pool.path, '--disk', first);
    expectInOrder(one, TRIM_DONE);
    const pending = ofExtents(await node.json('disk list', ['--pool', pool.path]));
    const pendingBytes = Object.fromEntries(pending.disks.map((d) => [d.path, d.pendingBytes]));
    expect(pendingBytes[first]).toBe(0);
    expect(pendingBytes[second]).toBeGreaterThan(0);

    expectInOrder(await node.text('trim-now', '--pool', pool.path), TRIM_DONE);
  });

  it('trim-status', async () => {
    const status = await node.text('trim-status', '--pool', pool.path);
    expectInOrder(status, TRIM_STATUS);
    expect(status).toMatch(/Total bytes trimmed: [1-9]/);
    expect(status).toContain('  Pending bytes: 0\n  Pending ranges: 0\n');
  });

  it('trim-status on a pool that was never trimmed says so', async () => {
    const { path } = await emptyPool();
    expect(await node.text('trim-status', '--pool', path)).toContain('  Last TRIM: never\n');
  });
});

describe("the prototype's other commands", () => {
  it('init, add-disk, list-disks, list-extents, status, remove-disk', async () => {
    const path = join(node.directory, 'pool');
    const init = await node.run(['init', '--pool', path]);
    expect(init).toMatchObject({ code: 0, stdout: `Made pool ${path}\n` });
    expect(init.stderr).toBe(`Next: dynamicfs disk add --pool ${path} --disk DIRECTORY\n`);
    for (const disk of ['a', 'b']) {
      const added = await node.text(
        'add-disk',
        '--pool',
        path,
        '--disk',
        disk,
        '--capacity',
        '32M',
      );
      expect(shapeOf(added.trim())).toMatch(/^Added disk .*\/[ab], N UNIT$/);
    }
    await node.run(['put', '-p', path, '-', '--name', 'notes'], { input: 'text' });

    expect(await node.text('list-disks', '--pool', path)).toMatch(
      /^DISK +STATE +TIER .*\n.*\n.*\n$/,
    );
    expect(await node.text('list-extents', '--pool', path)).toMatch(
      /^EXTENT .*\n1 +4 B .* notes#0\n$/,
    );
    expect(await node.text('status', '--pool', path)).toContain('4 (4 B) in 1 file (1 object)');

    const disks = ofExtents(await node.json('disk list', ['-p', path]));
    const holder = disks.disks.find(
      (d) => d.usedBytes > Math.min(...disks.disks.map((o) => o.usedBytes)),
    );
    const name = holder?.path.endsWith('/a') ? 'a' : 'b';
    const removed = await node.text('remove-disk', '--pool', path, '--disk', name);
    expect(removed).toBe(`Removed disk ${holder?.path}\n`);
    expect(await node.text('get', '-p', path, 'notes', '-')).toBe('text');
    expect((await node.json('disk list', ['-p', path])).disks).toHaveLength(1);
  });
});
