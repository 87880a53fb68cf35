/**
 * A thread that overwrites 4 KiB at random places of a file, past the page cache, at a fixed rate.
 *
 * Open loop: a write counts from when it was due, so that a stall is charged to all that it delays.
 * It posts the longest and the 99th percentile of those that were due between `begin` and `end`.
 */

import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { seededRandom } from './figures.mjs';

const BLOCK_BYTES = 4096;
const { path, writesPerSecond, control } = workerData;
/** Of `control`: 1 measures, 2 ends. */
const state = new Int32Array(control);
/** Memory of WebAssembly begins at a page, as O_DIRECT wants it. */
const block = Buffer.from(new WebAssembly.Memory({ initial: 1 }).buffer, 0, BLOCK_BYTES).fill(0x5a);
const random = seededRandom(7);

const fd = openSync(path, constants.O_RDWR | constants.O_DIRECT);
const blockCount = Math.floor(statSync(path).size / BLOCK_BYTES);
const latenciesMs = [];
parentPort.postMessage('ready');
const startedAtMs = performance.now();
for (let count = 0; Atomics.load(state, 0) !== 2; count += 1) {
  const dueAtMs = startedAtMs + (count * 1000) / writesPerSecond;
  const waitMs = dueAtMs - performance.now();
  if (waitMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, waitMs);
  const isMeasured = Atomics.load(state, 0) === 1;
  writeSync(fd, block, 0, BLOCK_BYTES, Math.floor(random() * blockCount) * BLOCK_BYTES);
  if (isMeasured || Atomics.load(state, 0) === 1) latenciesMs.push(performance.now() - dueAtMs);
}
closeSync(fd);
latenciesMs.sort((a, b) => a - b);
parentPort.postMessage({
  longestMs: latenciesMs.at(-1) ?? 0,
  p99Ms: latenciesMs[Math.floor(latenciesMs.length * 0.99)] ?? 0,
});
