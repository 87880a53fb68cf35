/**
 * What goes where: data on standard output, notes and progress on standard error, and escape
 * sequences only where a terminal is. util-linux's script(1) is the terminal.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { type CliPool, emptyPool, fragmentedPool } from '../support/cli-pools.js';
import { CliNode, RUN_JS } from '../support/cli-run.js';
import { content, expectSound, openPool } from '../support/pool-fixture.js';

const node = new CliNode();
const ESCAPE = '\u001b';
let pool: CliPool;
let inPool: NodeJS.ProcessEnv;

beforeAll(async () => {
  pool = await fragmentedPool({ capacityBytes: 96 * MIB });
  inPool = { DYNAMICFS_POOL: pool.path };
});

afterAll(() => node.stop());

/** @returns all that the terminal shows, both streams. */
async function inTerminal(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const command = [process.execPath, RUN_JS, ...args].map((word) => `'${word}'`).join(' ');
  const options = { env: { ...inPool, TERM: 'xterm', ...env } };
  const end = await node.program('script', ['-qec', command, '/dev/null'], options);
  expect({ args, ...end }).toMatchObject({ code: 0 });
  return end.stdout;
}

describe('colours', () => {
  it('are in the map of a terminal', async () => {
    expect(await inTerminal(['defrag', 'analyze', '--map'])).toContain(`${ESCAPE}[31m▚`);
  });

  it.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('are not there with %o', async (env) => {
    expect(await inTerminal(['defrag', 'analyze', '--map'], env)).not.toContain(ESCAPE);
  });

  it('are not there without a terminal, nor in an error', async () => {
    const map = await node.run(['defrag', 'analyze', '--map'], { env: inPool });
    expect(map.stdout).toContain('▚');
    expect(map.stdout + map.stderr).not.toContain(ESCAPE);
    const failed = await node.run(['status', '--pool', '/nowhere']);
    expect(failed.stderr).not.toContain(ESCAPE);
  });
});

describe('progress', () => {
  it('of put and get is shown on a terminal and taken away again', async () => {
    const source = join(node.directory, 'source');
    writeFileSync(source, content(1, 4 * MIB));
    const put = await inTerminal(['put', source, '--name', 'progress']);
    expect(put).toMatch(/put {2}.*\d MB.*\/s/);
    expect(put.trimEnd()).toMatch(/Stored 1 object, 4.00 MB$/);
    const got = await inTerminal(['get', 'progress', join(node.directory, 'copy')]);
    expect(got).toMatch(/get {2}.*░.* of 4.00 MB/);
    expect(got.trimEnd()).toMatch(/Read 1 object, 4.00 MB$/);
    const copied = readFileSync(join(node.directory, 'copy'));
    expect(copied.equals(content(1, 4 * MIB))).toBe(true);
  });

  it('is not shown without a terminal, nor with --json', async () => {
    const got = await node.run(['get', 'progress', 'copy-2'], { env: inPool });
    expect(got).toMatchObject({ code: 0, stdout: 'Read 1 object, 4.00 MB\n', stderr: '' });
    const json = await inTerminal(['get', 'progress', 'copy-3', '--json']);
    expect(json).not.toContain(ESCAPE);
    expect(JSON.parse(json)).toMatchObject({ readBytes: 4 * MIB });
  });

  it('of a run is shown with --wait', async () => {
    const args = ['defrag', 'start', '--intensity', 'high', '--once', '--wait'];
    const shown = await inTerminal(args);
    expect(shown).toMatch(/defrag {2}.*\d+ of 10 extents/);
    expect(shown.trimEnd()).toMatch(/Run completed: 10 moved, 0 skipped, 0 failed$/);
  });
});

describe('names that would command a terminal', () => {
  it('are printed harmlessly', async () => {
    const { path } = await emptyPool();
    const name = `a\n${ESCAPE}[31mred\u009b1m\u007f`;
    const env = { DYNAMICFS_POOL: path };
    expect((await node.run(['put', '-', '--name', name], { env, input: 'x' })).code).toBe(0);
    const shown = 'a\\n\\u001b[31mred\\u009b1m\\u007f';
    for (const args of [['ls'], ['extent', 'list']]) {
      const { stdout } = await node.run(args, { env });
      expect(stdout).toContain(shown);
      expect(stdout).not.toContain(ESCAPE);
    }
    const missing = await node.run(['get', `${name}!`], { env });
    expect(missing.stderr).toContain('red\\u009b1m\\u007f!');
    expect(missing.stderr).not.toContain(ESCAPE);
    mkdirSync(join(node.directory, 'taken', name), { recursive: true });
    const failed = await node.run(['get', name, join('taken', name), '--force'], { env });
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).not.toContain(ESCAPE);
  });
});

describe('pipes', () => {
  it('put reads standard input, get writes standard output, byte for byte', async () => {
    const bytes = content('pipe', 3 * MIB + 17);
    const source = join(node.directory, 'bytes');
    writeFileSync(source, bytes);
    const script = `"$0" "$1" put - --name piped < bytes && "$0" "$1" get piped - > copied`;
    const args = ['-c', script, process.execPath, RUN_JS];
    const end = await node.program('sh', args, { env: inPool });
    expect(end).toMatchObject({ code: 0, stdout: 'Stored 1 object, 3.00 MB\n', stderr: '' });
    // Not toEqual, which takes half a minute for so many bytes.
    expect(readFileSync(join(node.directory, 'copied')).equals(bytes)).toBe(true);
  });

  it.each(['get piped -', 'extent list', 'extent list --json'])(
    'a reader that goes away is no error: %s',
    async (command) => {
      const script = `"$0" "$1" ${command} | head -c 1 > /dev/null; echo "\${PIPESTATUS[0]}"`;
      const args = ['--norc', '-c', script, process.execPath, RUN_JS];
      const end = await node.program('bash', args, { env: inPool });
      expect(end).toMatchObject({ stdout: '0\n', stderr: '' });
    },
  );

  it('the data goes to standard output, and what is said about it to standard error', async () => {
    const listed = await node.run(['extent', 'list', '--limit', '2'], { env: inPool });
    expect(listed.stdout.trimEnd().split('\n')).toHaveLength(3);
    expect(listed.stderr).toBe('Only the first 2; see --limit.\n');
  });
});

describe('Ctrl-C', () => {
  it.each([MIB, 6 * MIB])('during a put of standard input, after %i bytes', async (sentBytes) => {
    const { path } = await emptyPool();
    const env = { ...node.env, DYNAMICFS_POOL: path };
    const child = spawn(process.execPath, [RUN_JS, 'put', '-', '--name', 'cut'], { env });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.on('error', () => {});
    // Taken up to what a pipe holds: the command is at work.
    await new Promise((resolve) => child.stdin.write(content('cut', sentBytes), resolve));
    child.kill('SIGINT');
    await once(child, 'close');
    expect({ code: child.exitCode, stderr }).toMatchObject({ code: 130 });
    expect(stderr).toContain('Code: ERR_INTERRUPTED');

    const opened = openPool(path);
    expectSound(opened);
    expect(opened.list()).toEqual([]);
  });
});
