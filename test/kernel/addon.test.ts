import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { kernelAddon } from '../../src/kernel/addon.js';
import { packageRoot } from '../../src/kernel/package-root.js';

it('loads in several threads at once, and in this one after they have ended', async () => {
  const path = join(packageRoot(), 'native', 'build', 'dynamicfs.node');
  const source = `
    const addon = require(${JSON.stringify(path)});
    const buffer = Buffer.from(addon.allocateAligned(8192));
    require('node:worker_threads').parentPort.postMessage(buffer.length);
  `;
  const workers = [1, 2, 3].map(() => new Worker(source, { eval: true }));
  const replies = await Promise.all(workers.map((worker) => once(worker, 'message')));
  expect(replies).toEqual([[8192], [8192], [8192]]);
  await Promise.all(workers.map((worker) => worker.terminate()));

  expect(kernelAddon().allocateAligned(4096).byteLength).toBe(4096);
});

it('answers a wrong argument, which only a bug can pass, with a TypeError', () => {
  const addon = kernelAddon();
  expect(() => addon.punchHole(1, -1n, 4096n)).toThrow(TypeError);
  expect(() => addon.punchHole(1, 0n, 2n ** 64n)).toThrow(TypeError);
  expect(() => Reflect.apply(addon.lockFile, addon, ['1'])).toThrow(TypeError);
  expect(() => Reflect.apply(addon.mappedBytes, addon, [1, 0, 4096])).toThrow(TypeError);
});
