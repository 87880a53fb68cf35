/** Three passes over the disk by a C program: what a verified move can reach at most. */

import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesIn } from './page-cache.mjs';

/** More made nothing faster. */
const THREAD_COUNT = 6;

/** @returns the path of the program. */
export function compileMoveLimit(directory) {
  const source = fileURLToPath(new URL('./move-limit.c', import.meta.url));
  const program = join(directory, 'move-limit');
  execFileSync('gcc', ['-O2', '-pthread', '-Wall', '-Werror', source, '-o', program]);
  return program;
}

/** Copies every file of the mount and reads the copy back. @returns what does the work. */
export function runMoveLimit(program, { mountPath }) {
  const input = filesIn(join(mountPath, 'data')).join('\n');
  return () => {
    const args = [mountPath, String(THREAD_COUNT)];
    const { status, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
    if (status !== 0) throw new Error(`move-limit: ${status} ${stderr}`);
  };
}
