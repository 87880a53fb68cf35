import { describe, expect, it } from 'vitest';
import { CRASH_POINTS } from '../../src/kernel/crash-point.js';
import { runTypeScript } from '../support/child.js';

/** Passes two points by turns and says how far it came. */
const PROGRAM = `
  import { writeSync } from 'node:fs';
  import { crashPoint } from './src/kernel/crash-point.ts';
  for (let pass = 1; pass <= 4; pass += 1) {
    crashPoint('rewrite-written');
    crashPoint('rewrite-synced');
    writeSync(1, String(pass));
  }
`;

describe('DYNAMICFS_CRASH_AT', () => {
  it.each([
    { setting: 'rewrite-written', survived: '' },
    { setting: 'rewrite-written:1', survived: '' },
    { setting: 'rewrite-synced:3', survived: '12' },
  ])('$setting kills the process there', async ({ setting, survived }) => {
    const end = await runTypeScript(PROGRAM, { DYNAMICFS_CRASH_AT: setting });
    expect(end.signal).toBe('SIGKILL');
    expect(end.stdout).toBe(survived);
  });

  it.each(['', 'put-written', 'rewrite-synced:5'])('"%s" lets it end', async (setting) => {
    const end = await runTypeScript(PROGRAM, { DYNAMICFS_CRASH_AT: setting });
    expect(end).toMatchObject({ code: 0, signal: null, stdout: '1234' });
  });

  it.each(['rewrite-writen', 'rewrite-written:0'])('refuses "%s"', async (setting) => {
    const end = await runTypeScript(PROGRAM, { DYNAMICFS_CRASH_AT: setting });
    expect(end.code).not.toBe(0);
    expect(end.stderr).toContain(`DYNAMICFS_CRASH_AT has no such point: ${setting}`);
  });

  it('has no name twice', () => {
    expect(new Set(CRASH_POINTS).size).toBe(CRASH_POINTS.length);
  });
});
