/** Makes a created, renamed or deleted name durable: fsync(2) of the directory that holds it. */

import { closeSync, fsyncSync, openSync } from 'node:fs';
import { fromNodeError } from './kernel-error.js';

export function syncDirectory(path: string): void {
  try {
    const fd = openSync(path, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw fromNodeError('flush directory', cause, path);
  }
}
