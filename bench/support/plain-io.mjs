/**
 * A thread that does the bare work of a rewrite and nothing else: O_DIRECT reads of the source's
 * pieces, O_DIRECT write of the target, optionally fdatasync, O_DIRECT read of the target.
 *
 * It also hashes in the same kind of thread, to say what BLAKE3 alone would take.
 */

import { closeSync, constants, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { Blake3Hasher } from '@napi-rs/blake-hash';

/** Memory of WebAssembly begins at a page, as O_DIRECT wants it; other buffers of Node do not. */
const WASM_PAGE_BYTES = 65_536;
const pages = workerData.extentBytes / WASM_PAGE_BYTES;
const buffer = Buffer.from(new WebAssembly.Memory({ initial: pages }).buffer);

parentPort.on('message', (task) => {
  if (task.kind === 'copy') copyAll(task);
  else if (task.kind === 'read') readAll(task);
  else hashAll(task);
  parentPort.postMessage('done');
});

function copyAll({ path, moves, flush }) {
  const fd = openSync(path, constants.O_RDWR | constants.O_DIRECT);
  for (const { from, to } of moves) {
    transfer(readSync, fd, from);
    transfer(writeSync, fd, to);
    if (flush) fdatasyncSync(fd);
    transfer(readSync, fd, to);
  }
  closeSync(fd);
}

function readAll({ path, replicas }) {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  for (const runs of replicas) transfer(readSync, fd, runs);
  closeSync(fd);
}

function transfer(call, fd, runs) {
  let at = 0;
  for (const { startBytes, lengthBytes } of runs) {
    const doneBytes = call(fd, buffer, at, lengthBytes, startBytes);
    if (doneBytes !== lengthBytes) throw new Error(`${doneBytes} of ${lengthBytes} bytes`);
    at += lengthBytes;
  }
}

function hashAll({ count }) {
  for (let done = 0; done < count; done += 1) new Blake3Hasher().update(buffer).digestBuffer();
}
