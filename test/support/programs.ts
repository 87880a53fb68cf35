/** Programs that a test needs and a machine may lack; without them it skips, with the reason. */

import { spawnSync } from 'node:child_process';

/** @returns a suffix for the name of what is skipped: empty when the program is there. */
export function missing(program: string): string {
  const found = spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  return found ? '' : ` (skipped: ${program} is not installed; npm test installs it as root)`;
}
