/** The agent as commands see it: started once however many ask for it, found, stopped. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { emptyPool } from '../support/cli-pools.js';
import { CliNode } from '../support/cli-run.js';

const node = new CliNode();

afterAll(() => node.stop());

describe('the agent', () => {
  it('is started once by two commands that need it at the same moment', async () => {
    const pools = [await emptyPool(), await emptyPool()];
    const ends = await Promise.all(
      pools.map(({ path }) => node.run(['trim-now', '--pool', path, '--json'])),
    );
    for (const end of ends) expect(end).toMatchObject({ code: 0, stderr: '' });
    const status = await node.json('agent status', []);
    expect(status.pools.map(({ path }) => path).sort()).toEqual(pools.map((p) => p.path).sort());
    const log = readFileSync(join(node.stateDirectory, 'agent.log'), 'utf8');
    expect(log.match(/"agent ready"/g)).toHaveLength(1);
  });

  it('refuses to run twice, and says what to do', async () => {
    const end = await node.run(['agent', 'run']);
    expect(end).toMatchObject({ code: 11 });
    expect(end.stderr).toContain('an agent runs on');
    expect(end.stderr).toContain('dynamicfs agent stop');
    expect((await node.json('agent status', [])).running).toBe(true);
  });

  it('is not started again by agent start', async () => {
    const { pid } = await node.json('agent status', []);
    expect((await node.json('agent start', [])).pid).toBe(pid);
    expect((await node.run(['agent', 'start'])).stderr).toBe(`Agent ${pid} runs already\n`);
  });

  it('stops, and leaves neither its Redis nor its file', async () => {
    const { redis } = await node.json('agent status', []);
    expect(await node.text('agent', 'stop')).toBe('Agent stopped\n');
    expect(await node.text('agent', 'stop')).toBe('No agent runs\n');
    expect((await node.json('agent status', [], 26)).running).toBe(false);
    expect(existsSync(join(node.stateDirectory, 'agent.json'))).toBe(false);
    expect(existsSync(redis ?? '')).toBe(false);
  });
});
