/** Cold reads that share no code with what measures a payback: by a C program, and by `cat`. */

import { execFileSync, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MIB, medianOf } from './figures.mjs';
import { dropCaches } from './page-cache.mjs';

/** As often as a payback reads its sample; the median counts. */
const PASS_COUNT = 3;

/** @returns the path of the program. */
export function compileColdRead(directory) {
  const source = fileURLToPath(new URL('./cold-read.c', import.meta.url));
  const program = join(directory, 'cold-read');
  execFileSync('gcc', ['-O2', '-pthread', '-Wall', '-Werror', source, '-o', program]);
  return program;
}

/** Past the page cache, the runs of each replica side by side. @returns milliseconds for all. */
export function replicasMs(program, path, replicas) {
  const groups = replicas.map((runs) => [
    ...runs.map(({ startBytes, lengthBytes }) => `r ${startBytes} ${lengthBytes}`),
    'g',
  ]);
  return planMs(program, [`f ${path}`, ...groups.flat()]);
}

/** Past the page cache, from begin to end, 1 MiB at a time. @returns milliseconds for all. */
export function filesMs(program, paths) {
  const plan = paths.flatMap((path) => {
    const count = Math.ceil(statSync(path).size / MIB);
    const blocks = Array.from({ length: count }, (_, n) => [`r ${n * MIB} ${MIB}`, 'g']);
    return [`f ${path}`, ...blocks.flat()];
  });
  return planMs(program, plan);
}

/** Through an empty page cache, with what the kernel reads ahead. @returns milliseconds for all. */
export function catMs(paths) {
  const times = Array.from({ length: PASS_COUNT }, () => {
    dropCaches([]);
    const beganAtMs = performance.now();
    execFileSync('cat', paths, { stdio: ['ignore', 'ignore', 'inherit'] });
    return performance.now() - beganAtMs;
  });
  return medianOf(times);
}

function planMs(program, plan) {
  const input = `${plan.join('\n')}\n`;
  const { status, stdout, stderr } = spawnSync(program, [`${PASS_COUNT}`], {
    input,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`cold-read: ${status} ${stderr}`);
  return medianOf(stdout.trim().split('\n').map(Number));
}
