/** Whether a disk answers at all: asked before a process depends on it, since one that waits cannot end. */

import { kernelAddon } from './addon.js';

/** Source: errno(3). */
const ETIMEDOUT = 110;

/**
 * Asks a device or a file for a block, and waits no longer than this. Whatever else is wrong with it, whoever
 * opens it is told.
 *
 * @returns false when there was no answer.
 */
export function diskAnswers(path: string, timeoutMs: number): boolean {
  return kernelAddon().probeDisk(path, timeoutMs) !== ETIMEDOUT;
}
