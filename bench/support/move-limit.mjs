/** The bare work of a move by a C program: what ours can reach at most. */

import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { row } from './figures.mjs';

/** More threads made the passes no faster; MOVE_EXT has those of an agent. */
const COPY = { work: 'copy', threadCount: 6, name: 'two bare passes', ours: 'plain' };
const VERIFY = { work: 'verify', threadCount: 6, name: 'three bare passes', ours: 'verified' };
const MOVE_EXT = { work: 'move', threadCount: 2, name: 'bare MOVE_EXT', ours: 'plain' };
const LIMITS = {
  'ext4-many': [MOVE_EXT],
  'ext4-large': [MOVE_EXT, COPY],
  'xfs-large': [VERIFY],
  'btrfs-large': [VERIFY],
};

/** @param part such as ext4-large. */
export const limitsOf = (part) => LIMITS[part] ?? [];

/** @returns the path of the program. */
export function compileMoveLimit(directory) {
  const source = fileURLToPath(new URL('./move-limit.c', import.meta.url));
  const program = join(directory, 'move-limit');
  execFileSync('gcc', ['-O2', '-pthread', '-Wall', '-Werror', source, '-o', program]);
  return program;
}

/** @param names of files, below the mount. @returns what does the work. */
export function runMoveLimit(program, { work, threadCount }, { mountPath }, names) {
  const input = names.map((name) => join(mountPath, name)).join('\n');
  return () => {
    const args = [work, mountPath, String(threadCount)];
    const { status, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
    if (status !== 0) throw new Error(`move-limit: ${status} ${stderr}`);
  };
}

export function limitRows(label, peerName, { work, name, ours }, rounds) {
  const oursName = ours === 'plain' ? '--no-verify' : ours;
  const ratios = (pick) => rounds.map(pick);
  return [
    row(
      `${label}: ${name} to ${peerName}`,
      'ratio',
      ratios((r) => r.peer.ms / r[work].ms),
    ),
    row(
      `${label}: ${oursName} to ${name}`,
      'ratio',
      ratios((r) => r[work].ms / r[ours].ms),
    ),
  ];
}
