/** The README's examples, run as they are printed. */

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/kernel/package-root.js';
import { CliNode } from '../support/cli-run.js';
import { canMount } from '../support/loop-mounts.js';

const node = new CliNode();
const readme = readFileSync(join(packageRoot(), 'README.md'), 'utf8');

afterAll(() => node.stop());

function block(language: string, index = 0): string {
  const fenced = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm');
  const code = [...readme.matchAll(fenced)][index]?.[1];
  if (code === undefined) throw new Error(`README.md has no ${language} block ${index}`);
  return code;
}

/** Without the machine's own bashrc, which bash reads when a socket is its standard input. */
const BASH = ['--norc', '-euo', 'pipefail', '-c'];

function ratiosIn(text: string): number[] {
  return [...text.matchAll(/Fragmentation ratio: ([\d.]+)%/g)].map(([, ratio]) => Number(ratio));
}

describe('README.md', () => {
  it('leads from nothing to a defragmented, trimmed pool', async () => {
    const args = [...BASH, block('sh')];
    const env = { TMPDIR: node.directory };
    const end = await node.program('bash', args, { cwd: packageRoot(), env });
    expect(end).toMatchObject({ code: 0 });
    expect(end.stderr).toMatch(/^Started the agent in the background .*\n$/);

    const ratios = ratiosIn(end.stdout);
    expect(ratios).toHaveLength(2);
    expect(ratios[0]).toBeGreaterThan(15);
    // How the last few lie depends on which of two threads came first.
    expect(ratios[1]).toBeLessThan(10);
    expect(end.stdout).toMatch(/^Run completed: [1-9]\d* moved, 0 skipped, 0 failed$/m);
    expect(end.stdout).toMatch(/^TRIM completed\n {2}Bytes reclaimed: [1-9]/m);
    expect(end.stdout).toContain('Audit: every byte is in exactly one place\nAgent stopped\n');
  });

  it.skipIf(!canMount)('does the same on a mounted file system', async () => {
    const [commands = ''] = block('sh').split('WORK=');
    const unmount = `trap 'mountpoint -q "\${MOUNT:-/none}" && umount "$MOUNT" || true' EXIT`;
    const script = [commands, unmount, block('sh', 1)].join('\n');
    const env = { TMPDIR: node.directory };
    const end = await node.program('bash', [...BASH, script], {
      cwd: packageRoot(),
      env,
    });
    expect(end).toMatchObject({ code: 0 });
    expect(end.stderr).toMatch(/^Started the agent in the background .*\n$/);
    const [before = 0, after = 100] = ratiosIn(end.stdout);
    expect(before).toBeGreaterThan(0);
    expect(after).toBeLessThan(before);
    expect(end.stdout).toMatch(/^Run completed: [1-9]\d* moved, 0 skipped, 0 failed$/m);
    expect(end.stdout).toMatch(/^TRIM completed\n {2}Bytes reclaimed: [1-9]/m);
    expect(end.stdout).toMatch(/^TRIM completed\n {2}Bytes reclaimed: 0/m);
  });

  it('shows TypeScript that runs', async () => {
    const directory = join(node.directory, 'program');
    mkdirSync(join(directory, 'node_modules'), { recursive: true });
    mkdirSync(join(directory, 'notes'));
    writeFileSync(join(directory, 'notes', 'today'), 'text');
    symlinkSync(packageRoot(), join(directory, 'node_modules', 'dynamicfs'));
    // It has no types in it, on purpose: what TypeScript runs, Node can.
    writeFileSync(join(directory, 'program.mjs'), block('ts'));
    const end = await node.program(process.execPath, ['program.mjs'], { cwd: directory });
    expect(end).toMatchObject({ code: 0, stderr: '' });
    expect(end.stdout).toBe('hello\n5\ngreeting 5\nnotes 0\nnotes/today 4\nNone []\n');
  });

  it('names files that are there', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path]) => path ?? '');
    for (const path of links) expect(() => readFileSync(join(packageRoot(), path))).not.toThrow();
  });
});
