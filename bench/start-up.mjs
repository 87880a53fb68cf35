/**
 * How long a command takes from the shell, against `node -e 0`, which does nothing.
 *
 * Limit: the start of Node itself. `--version` may take 1.5 times that, a command that looks into a
 * small pool 3 times. Wall and processor time, each round runs all of them one after the other.
 */

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { COMMAND, measureProgram, REPOSITORY, runCommand } from './support/child.mjs';
import { row } from './support/figures.mjs';

export const title = 'Start of commands from the shell, as multiples of `node -e 0`.';

const ROUND_COUNT = 21;

export async function run({ directory, say }) {
  const pool = join(directory, 'pool');
  const env = { DYNAMICFS_STATE_DIR: join(directory, 'state') };
  makeSmallPool(directory, pool, env);
  const look = (...command) => [COMMAND, ...command, '--pool', pool];
  const programs = new Map([
    ['node', ['-e', '0']],
    ['--version', [COMMAND, '--version']],
    ['status', look('status')],
    ['defrag status', look('defrag', 'status')],
    ['trim status', look('trim', 'status')],
    ['ls', look('ls')],
    ['disk list', look('disk', 'list')],
  ]);
  const costs = new Map([...programs.keys()].map((name) => [name, []]));
  say(`${ROUND_COUNT} rounds of ${programs.size} commands`);
  for (let round = 0; round <= ROUND_COUNT; round += 1) {
    for (const [name, args] of programs) {
      const cost = measureProgram(process.execPath, args, env);
      // The first round fills the page cache.
      if (round > 0) costs.get(name).push(cost);
    }
  }
  return rowsOf(costs);
}

function makeSmallPool(directory, pool, env) {
  const content = join(directory, 'content');
  cpSync(join(REPOSITORY, 'src'), content, { recursive: true });
  runCommand(['init', '--pool', pool], env);
  const disk = join(directory, 'disk');
  runCommand(['disk', 'add', '--pool', pool, '--disk', disk, '--capacity', '256MiB'], env);
  runCommand(['put', '--pool', pool, content], env);
}

function rowsOf(costs) {
  const bare = costs.get('node');
  const rows = [
    row(
      '`node -e 0`, wall',
      'ms',
      bare.map((cost) => cost.wallMs),
    ),
  ];
  rows.push(
    row(
      '`node -e 0`, processor',
      'ms',
      bare.map((cost) => cost.cpuMs),
    ),
  );
  for (const [name, own] of costs) {
    if (name === 'node') continue;
    const target = { below: name === '--version' ? 1.5 : 3 };
    const over = (of) => own.map((cost, round) => of(cost) / of(bare[round]));
    rows.push(
      row(
        `\`${name}\`, wall`,
        'ratio',
        over((cost) => cost.wallMs),
        target,
      ),
    );
    rows.push(
      row(
        `\`${name}\`, processor`,
        'ratio',
        over((cost) => cost.cpuMs),
        target,
      ),
    );
  }
  return rows;
}
