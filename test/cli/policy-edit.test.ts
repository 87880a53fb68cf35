/** `policy edit` with editors that are real programs: scripts that change the file that they are given. */

import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CliPool, emptyPool } from '../support/cli-pools.js';
import { CliNode } from '../support/cli-run.js';

const node = new CliNode();
afterAll(() => node.stop());

let pool: CliPool;
beforeAll(async () => {
  pool = await emptyPool();
});

/** @param body of a shell script; `$1` is the file. */
async function edit(body: string, ...flags: string[]) {
  const editor = join(node.directory, 'editor.sh');
  writeFileSync(editor, `#!/bin/sh\ncp "$1" "${join(node.directory, 'seen.yaml')}"\n${body}\n`);
  chmodSync(editor, 0o755);
  const env = { VISUAL: `"${editor}"`, EDITOR: '/bin/false', TMPDIR: node.directory };
  return await node.run(['policy', 'edit', '-p', pool.path, ...flags], { env });
}

const show = () => node.json('policy show', ['-p', pool.path]);
const keptFile = (stderr: string) => /correct (\S+),/.exec(stderr)?.[1] ?? '';

it('shows what is set and the values that hold, and sets what comes out of the editor', async () => {
  const end = await edit('echo "trim: { batchBytes: 300M }" >> "$1"');
  expect(end).toMatchObject({ code: 0, stdout: expect.stringContaining('set to: balanced') });
  expect(await show()).toMatchObject({
    version: 1,
    overrides: { trim: { batchBytes: 314572800 } },
  });
  const seen = readFileSync(join(node.directory, 'seen.yaml'), 'utf8');
  expect(seen).toMatch(/^preset: balanced$/m);
  expect(seen).toMatch(/^# scheduleIntervalMs: 86400000$/m);
});

it('changes nothing when the text was not changed', async () => {
  const before = await show();
  const end = await edit('true', '--json');
  expect(end.code).toBe(0);
  expect(JSON.parse(end.stdout)).toEqual(before);
});

it('names every error and the file that keeps the text, and changes nothing', async () => {
  const before = await show();
  const end = await edit('printf "speed: 3\\nsloMs: fast\\n" >> "$1"');
  expect(end.code).toBe(2);
  for (const path of ['speed', 'sloMs']) expect(end.stderr).toContain(`  ${path}: `);
  const kept = keptFile(end.stderr.replaceAll(/\s+/g, ' '));
  expect(readFileSync(kept, 'utf8')).toContain('speed: 3');
  expect(await show()).toEqual(before);
});

it('changes nothing when the editor fails', async () => {
  const before = await show();
  const end = await edit('echo "enabled: false" >> "$1"; exit 3');
  expect(end).toMatchObject({ code: 2, stderr: expect.stringContaining('the editor failed') });
  expect(await show()).toEqual(before);
});

it('does not overwrite what somebody set meanwhile', async () => {
  const other = `"${process.execPath}" bin/run.js policy set -p "${pool.path}" --policy aggressive`;
  const end = await edit(`cd "${process.cwd()}" && ${other} >&2; echo "enabled: false" >> "$1"`);
  expect(end.code).toBe(11);
  expect(existsSync(keptFile(end.stderr.replaceAll(/\s+/g, ' ')))).toBe(true);
  expect(await show()).toMatchObject({ preset: 'aggressive', overrides: {} });
});
