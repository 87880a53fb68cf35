/**
 * A default run over a tree of everything that is odd: what may move moves, the rest is counted with
 * its reason, and nothing leads out of the file system.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { fileMappings } from '../../src/kernel/file-state.js';
import { scanMount } from '../../workers/scan-file-system.js';
import { CliNode } from '../support/cli-run.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { scanTask } from '../support/scan-lab.js';
import { tempDirectory } from '../support/temp-directory.js';

const node = new CliNode();
afterAll(() => node.stop());

const FILE_BYTES = 128 * KIB;
const SPARSE_BYTES = 100 * 1024 * MIB;
const RUN = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a default run over odd files of %s', (fsType) => {
  it('moves what it may, counts the rest by reason, and costs reflinks and snapshots nothing', async () => {
    using mount = new LoopMount(fsType);
    const canShare = fsType !== 'ext4';
    const oddName = makeOdd(mount);
    if (canShare) share(mount);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mount.path('mounted')]);
    try {
      writeFileSync(mount.path('mounted', 'file'), 'of another file system');
      execFileSync('sync', ['-f', mount.mountPath]);
      const before = stateOf(mount, oddName);
      const places = canShare ? sharedNames(mount).map((name) => mapOf(mount.path(name))) : [];
      const flags = ['--pool', mount.mountPath];
      const analyzed = await node.json('defrag analyze', flags);
      expect(analyzed).toMatchObject({ files: { hardLinkedCount: 1, otherMountCount: 0 } });
      await node.json('init', flags);
      const started = await node.json('defrag start', [...flags, ...RUN]);
      if (started.dryRun) throw new Error('expected a run');

      expect(started.run).toMatchObject({ state: 'completed', failedCount: 0 });
      const reasons = new Map(started.run?.exclusions.map(({ reason, count }) => [reason, count]));
      expect(reasons.get('opted-out')).toBe(1);
      if (canShare) expect(reasons.get('shared')).toBeGreaterThanOrEqual(2);
      const { sums, sparse } = stateOf(mount, oddName);
      expect({ sums, sparse }).toEqual({ sums: before.sums, sparse: before.sparse });
      expect(await node.json('trim now', flags)).toMatchObject({
        run: { state: 'completed', failedCount: 0 },
      });
      const trimmed = stateOf(mount, oddName);
      expect({ ...trimmed, usedBytes: 0 }).toEqual({ sums, sparse, usedBytes: 0 });
      expect(fragmentCount(mount.path('hard-link'))).toBe(1);
      expect(readFragments(oddName)).toBe(1);
      if (!canShare) return;
      expect(sharedNames(mount).map((name) => mapOf(mount.path(name)))).toEqual(places);
      execFileSync('sync', ['-f', mount.mountPath]);
      expect(usedBytes(mount) - before.usedBytes).toBeLessThan(512 * KIB);
    } finally {
      execFileSync('umount', [mount.path('mounted')]);
    }
  });
});

describe.skipIf(!canMount)('a scan of a subtree', () => {
  it('never leaves it, while somebody swaps it for a symbolic link', async () => {
    using mount = new LoopMount('ext4');
    const outside = tempDirectory('outside');
    for (let index = 0; index < 7; index += 1) writeFileSync(join(outside, `${index}`), 'x');
    mkdirSync(mount.path('tree', 'part'), { recursive: true });
    writeFileSync(mount.path('tree', 'part', 'file'), 'x');
    symlinkSync(outside, mount.path('tree', 'link'));
    const swapper = spawn('python3', ['-c', SWAPPER, mount.path('tree')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await once(swapper.stdout, 'data');
      const seen = new Set<string>();
      for (let round = 0; round < 2_000 && seen.size < 2; round += 1) {
        seen.add(scanned(mount));
        if (round % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      for (let round = 0; round < 200; round += 1) seen.add(scanned(mount));
      expect(seen).toContain('1 files');
      expect(seen).toContain('refused');
      // Nothing, when the swap came between two looks; never what lies outside.
      seen.delete('0 files');
      expect(seen.size).toBe(2);
    } finally {
      swapper.stdin.end();
      await once(swapper, 'close');
    }
  });
});

/** Swaps `part` and `link` until its standard input ends. Python, since Node.js has no renameat2. */
const SWAPPER = `
import ctypes, os, select, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
print('swapping', flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    if libc.renameat2(-100, b'part', -100, b'link', 2) != 0:
        sys.exit('renameat2: %d' % ctypes.get_errno())
`;

function scanned(mount: LoopMount): string {
  try {
    return `${scanMount(scanTask(mount, { subtree: 'tree/part' })).fileCount} files`;
  } catch {
    return 'refused';
  }
}

/** @returns the path of a file whose name is no text and has a line break. */
function makeOdd(mount: LoopMount): Buffer {
  makeFragmented(mount, ['linked', 'odd', 'opted', 'plain'], { sizeBytes: FILE_BYTES });
  linkSync(mount.path('linked'), mount.path('hard-link'));
  const oddName = Buffer.concat([
    Buffer.from(`${mount.mountPath}/`),
    Buffer.from('\xff\n\t', 'latin1'),
  ]);
  renameSync(mount.path('odd'), oddName);
  execFileSync('setfattr', ['-n', 'user.dynamicfs.nodefrag', '-v', '1', mount.path('opted')]);
  execFileSync('mkfifo', [mount.path('fifo')]);
  symlinkSync('/etc/hostname', mount.path('way-out'));
  mkdirSync(mount.path('mounted'));
  // Its end first: what lies between is never written.
  const fd = openSync(mount.path('sparse'), 'w');
  for (const at of [SPARSE_BYTES - MIB, 50 * 1024 * MIB, 0]) writeSync(fd, 'data', at);
  ftruncateSync(fd, SPARSE_BYTES);
  closeSync(fd);
  return oddName;
}

/** Fragmented files whose blocks a reflink and, on Btrfs, a snapshot have too. */
function share(mount: LoopMount): void {
  makeFragmented(mount, ['original'], { sizeBytes: FILE_BYTES });
  execFileSync('cp', ['--reflink=always', mount.path('original'), mount.path('clone')]);
  if (mount.fsType !== 'btrfs') return;
  execFileSync('btrfs', ['subvolume', 'create', mount.path('volume')], { stdio: 'pipe' });
  makeFragmented(mount, ['volume/held'], { sizeBytes: 4 * MIB });
  const snapshot = ['subvolume', 'snapshot', mount.path('volume'), mount.path('snapshot')];
  execFileSync('btrfs', snapshot, { stdio: 'pipe' });
}

/** Spacers, which lie between the pieces, are fragmented as well. */
function sharedNames(mount: LoopMount): string[] {
  const held = ['held', 'held.spacer'].flatMap((name) => [`volume/${name}`, `snapshot/${name}`]);
  return ['original', 'clone', ...(mount.fsType === 'btrfs' ? held : [])];
}

function stateOf(mount: LoopMount, oddName: Buffer) {
  const names = readdirSync(mount.mountPath, { recursive: true, encoding: 'utf8' });
  const regular = names.filter((name) => {
    const isOdd = name.includes('\n') || name === 'sparse' || name.startsWith('.dynamicfs');
    return !isOdd && name !== 'way-out' && statSync(mount.path(name)).isFile();
  });
  const sums = Object.fromEntries(regular.map((name) => [name, sha256(mount.path(name))]));
  const { size, blocks } = statSync(mount.path('sparse'));
  return {
    sums: { ...sums, odd: readFileSync(oddName).toString('latin1') },
    sparse: {
      size,
      blocks,
      parts: [0, 50 * 1024 * MIB, SPARSE_BYTES - MIB].map((at) => partOf(mount, at)),
    },
    usedBytes: usedBytes(mount),
  };
}

function partOf(mount: LoopMount, at: number): string {
  const fd = openSync(mount.path('sparse'), 'r');
  try {
    const part = execFileSync('dd', ['bs=4k', 'count=2', `skip=${at / 4096}`], {
      stdio: [fd, 'pipe', 'pipe'],
    });
    return part.toString('latin1');
  } finally {
    closeSync(fd);
  }
}

/** Where each of its pieces lies, and its flags. */
function mapOf(path: string): number[] {
  const fd = openSync(path, 'r');
  try {
    return [...fileMappings({ fd, path }, { startBytes: 0, lengthBytes: 1024 * MIB })];
  } finally {
    closeSync(fd);
  }
}

function readFragments(path: Buffer): number {
  const fd = openSync(path, 'r');
  try {
    const whole = { startBytes: 0, lengthBytes: 1024 * MIB };
    return fileMappings({ fd, path: 'the odd one' }, whole).length / 4;
  } finally {
    closeSync(fd);
  }
}

function usedBytes(mount: LoopMount): number {
  const { blocks, bfree, bsize } = statfsSync(mount.mountPath);
  return (blocks - bfree) * bsize;
}
