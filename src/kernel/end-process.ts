/** Ends a process whose threads cannot be ended. */

import { kernelAddon } from './addon.js';

const left = new Set<string>();

/** Notes files that threads of this process wait for and nobody else does any more. */
export function leaveBehind(paths: readonly string[]): void {
  for (const path of paths) left.add(path);
}

/** What was left behind, whatever became of it since: where there is something, `endProcess`. */
export function leftBehind(): string[] {
  return [...left];
}

/**
 * Ends it at once: no exit handlers, no waiting for threads. The kernel keeps what is left of it until the
 * disk answers that a thread waits for, and with it the files that it has open and their locks.
 *
 * Source: _exit(2).
 */
export function endProcess(code: number): never {
  return kernelAddon().endProcess(code);
}
