/**
 * Thread of a `BoundedIo` (src/kernel/bounded-io.ts): makes one call after the other, and may wait for
 * ever in any of them.
 */

import { fdatasyncSync, readSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { ALIGNMENT_BYTES, alignedBuffer } from '../src/kernel/aligned-buffer.js';

const numbers = new Int32Array(workerData.numbers);
const offset = new Float64Array(workerData.offset);
const bytes = new Uint8Array(workerData.bytes);
const [asked, answered, call, descriptor, length, result, errno] = [0, 1, 2, 3, 4, 5, 6];
const EIO = 5;

let probeBuffer: Buffer | null = null;

for (let last = 0; ; last += 1) {
  Atomics.wait(numbers, asked, last);
  let [done, failed] = [0, 0];
  try {
    done = make(Atomics.load(numbers, call), Atomics.load(numbers, descriptor));
  } catch (cause) {
    failed = Math.abs((cause as { errno?: number }).errno ?? EIO);
  }
  Atomics.store(numbers, result, done);
  Atomics.store(numbers, errno, failed);
  Atomics.add(numbers, answered, 1);
  Atomics.notify(numbers, answered);
}

function make(number: number, fd: number): number {
  const lengthBytes = Atomics.load(numbers, length);
  const atBytes = offset[0] ?? 0;
  switch (number) {
    case 1:
      return readSync(fd, bytes, 0, lengthBytes, atBytes);
    case 2:
      return writeSync(fd, bytes, 0, lengthBytes, atBytes);
    case 3:
      fdatasyncSync(fd);
      return 0;
    default:
      // From a descriptor with O_DIRECT.
      probeBuffer ??= alignedBuffer(ALIGNMENT_BYTES);
      return readSync(fd, probeBuffer, 0, ALIGNMENT_BYTES, 0);
  }
}
