/**
 * The memory of an analysis at a million files, 100,000 of them fragmented and with two names.
 *
 * The command itself is measured, Node.js with all that it loads: by the file system's tables, and by
 * the walk, which has to remember the files whose second name is still to come.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureCommandMemory, runCommand } from './support/child.mjs';
import { MIB, row } from './support/figures.mjs';
import { LoopMount } from './support/loop-mount.mjs';

export const title =
  'The most memory of `defrag analyze` at a million files, a tenth in fragments.';

const FILE_COUNT = Number(process.env.DYNAMICFS_BENCH_FILES ?? 1_000_000);
const FS_TYPES = (process.env.DYNAMICFS_BENCH_ONLY ?? 'ext4,xfs,btrfs').split(',');
const IMAGE_BYTES = 48 * 1024 ** 3;
const MKFS_ARGS = { ext4: ['-N', String(Math.ceil(FILE_COUNT * 1.2))], xfs: [], btrfs: [] };
const FRAGMENTED_SHARE_MIN = 0.9;
/** The page cache is not counted: it is nobody's. */
const TARGET = { below: 200 };

export async function run({ directory, say }) {
  if (process.getuid() !== 0) throw new Error('loop devices and mounts need root');
  const maker = join(directory, 'make-entries');
  const source = fileURLToPath(new URL('./support/make-entries.c', import.meta.url));
  execFileSync('gcc', ['-O2', source, '-o', maker]);
  const rows = [];
  for (const fsType of FS_TYPES) {
    const mount = new LoopMount(directory, fsType, IMAGE_BYTES, MKFS_ARGS[fsType]);
    try {
      say(`${fsType}: making ${FILE_COUNT} files`);
      const files = join(mount.mountPath, 'files');
      mkdirSync(files);
      execFileSync(maker, [files, String(FILE_COUNT)]);
      const env = { DYNAMICFS_STATE_DIR: join(directory, 'state') };
      for (const [what, path] of [
        ['tables', []],
        ['walk', ['--path', files]],
      ]) {
        const args = ['defrag', 'analyze', '--pool', mount.mountPath, ...path];
        say(`${fsType}: ${what}`);
        assertCounts(runCommand(args, env), what);
        const bytes = measureCommandMemory(args, env);
        rows.push(row(`${fsType}: ${what}`, 'MB', [bytes / MIB], TARGET));
      }
    } finally {
      mount.remove();
    }
  }
  return rows;
}

function assertCounts({ extentCount, fragmentedExtentCount, method, files }, what) {
  const isWalk = method === 'fiemap-walk';
  if (isWalk !== (what === 'walk')) throw new Error(`read from ${method}`);
  const counts = [extentCount, files.hardLinkedCount];
  const wanted = [FILE_COUNT, FILE_COUNT / 10];
  if (String(counts) !== String(wanted)) throw new Error(`counted ${counts}, not ${wanted}`);
  // The allocators of XFS and Btrfs put some of these pieces side by side all the same.
  const isFew = fragmentedExtentCount < FRAGMENTED_SHARE_MIN * (FILE_COUNT / 10);
  if (isFew) throw new Error(`only ${fragmentedExtentCount} fragmented files`);
}
