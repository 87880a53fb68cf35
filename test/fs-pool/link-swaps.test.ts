/**
 * Runs limited to a path, whose owner swaps it and what lies in it for links to elsewhere and back, as
 * fast as he can. Elsewhere is another file system of the same kind, with files that a run would move,
 * and a directory of the pool that was not asked for.
 *
 * What must hold: nothing elsewhere is moved, touched or given a donor directory, whatever a name leads
 * to at any moment; each run ends in one of the known ways; nobody's content changes.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { KIB } from '../../src/domain/units.js';
import { type CliEnd, CliNode } from '../support/cli-run.js';
import { fragmentCount, makeFragmented } from '../support/fragmented-files.js';
import { sha256Manifest } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';

const node = new CliNode();
afterAll(() => node.stop());

/** nobody */
const USER_ID = 65_534;
const TREES = ['home/tree', 'other'];
const DIRECTORIES = ['a', 'b', 'c', 'd', 'e', 'f'];
const FILES = ['1', '2', '3', '4'];
const RUN_COUNT = 3;
/** Done, not in the file system of the pool, not there at this moment, some files not. */
const KNOWN_ENDS = [0, 2, 10, 64];
/** The path was a link by the time of the scan, which follows none: the run as a whole. */
const RUN_FAILED = 1;
const UNSUPPORTED = 12;

/** Swaps for as long as its standard input is open, then tells how often. */
const SWAPPER = `
import os, select, sys, time
elsewhere = sys.argv[1:]
names = ['tree'] + ['tree/' + name for name in '${DIRECTORIES.join('')}']
swaps = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    name = names[swaps % len(names)]
    target = elsewhere[swaps // len(names) % len(elsewhere)]
    os.rename(name, 'away')
    os.symlink(os.path.join(target, os.path.relpath(name, 'tree')), name)
    time.sleep(0.002)
    os.unlink(name)
    os.rename('away', name)
    time.sleep(0.002)
    swaps += 1
print(swaps)
`;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a run limited to a path of %s', (fsType) => {
  it('follows no path out of it while its owner swaps directories for links', async () => {
    using mount = new LoopMount(fsType);
    using outside = new LoopMount(fsType);
    for (const tree of TREES) makeTree(mount, tree);
    makeTree(outside, 'tree');
    execFileSync('chown', ['-R', `${USER_ID}:${USER_ID}`, mount.path('home')]);
    const contents = [mount, outside].map(({ mountPath }) => sha256Manifest(mountPath));
    const elsewhere = [...statesOf(outside.path('tree')), ...statesOf(mount.path('other'))];
    const flags = ['--pool', mount.mountPath];
    await node.json('init', flags);

    const swapper = spawn('python3', ['-c', SWAPPER, outside.path('tree'), mount.path('other')], {
      ...{ cwd: mount.path('home'), uid: USER_ID, gid: USER_ID },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const start = ['defrag', 'start', ...flags, '--path', mount.path('home', 'tree')];
    const how = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];
    const ends = [];
    for (let count = 0; count < RUN_COUNT; count += 1)
      ends.push(await node.run([...start, ...how]));
    expect(await swapsOf(swapper)).toBeGreaterThan(100);

    for (const end of ends) expect(end).toSatisfy(isKnown);
    expect([...statesOf(outside.path('tree')), ...statesOf(mount.path('other'))]).toEqual(
      elsewhere,
    );
    expect(existsSync(outside.path('.dynamicfs'))).toBe(false);
    expect([mount, outside].map(({ mountPath }) => sha256Manifest(mountPath))).toEqual(contents);

    // Left in peace, all of it is moved, and nothing else.
    expect(await node.run([...start, ...how])).toMatchObject({ code: 0 });
    const counts = pathsOf(mount.path('home', 'tree')).map(fragmentCount);
    expect(counts).toEqual(counts.map(() => 1));
    expect([...statesOf(outside.path('tree')), ...statesOf(mount.path('other'))]).toEqual(
      elsewhere,
    );
  });
});

function isKnown({ code, stdout, stderr }: CliEnd): boolean {
  if (code === RUN_FAILED) return stdout.includes('failed');
  if (code === UNSUPPORTED) return stderr.includes('cannot scan, as no file or directory,');
  return code !== null && KNOWN_ENDS.includes(code);
}

/** As many files as others, in pieces. */
function makeTree(mount: LoopMount, tree: string): void {
  const paths = DIRECTORIES.flatMap((name) => FILES.map((file) => join(tree, name, file)));
  for (const name of DIRECTORIES) mkdirSync(mount.path(tree, name), { recursive: true });
  makeFragmented(mount, paths, { sizeBytes: 64 * KIB });
}

function pathsOf(tree: string): string[] {
  return DIRECTORIES.flatMap((name) => FILES.map((file) => join(tree, name, file)));
}

/** Where each file lies and when it was last changed. */
function statesOf(tree: string): unknown[] {
  return pathsOf(tree).map((path) => {
    const { ctimeNs, mtimeNs } = lstatSync(path, { bigint: true });
    return { path, fragments: fragmentCount(path), ctimeNs, mtimeNs };
  });
}

async function swapsOf(swapper: ChildProcess): Promise<number> {
  let text = '';
  swapper.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = once(swapper, 'close');
  swapper.stdin?.end();
  await ended;
  return Number(text);
}
