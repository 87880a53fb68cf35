/**
 * The surface that scripts depend on: commands, aliases, flags, help and version.
 *
 * The snapshot fails on every change; `npx vitest -u test/cli/surface.test.ts` accepts one that was
 * meant. Taking something away, or giving it another meaning, breaks somebody's script.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/cli/nearest.js';
import { packageRoot, packageVersion } from '../../src/kernel/package-root.js';
import { CliNode } from '../support/cli-run.js';

interface ManifestFlag {
  readonly char?: string;
  readonly required?: boolean;
  readonly multiple?: boolean;
  readonly type: string;
}

interface ManifestCommand {
  readonly hiddenAliases: readonly string[];
  readonly args: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly flags: Readonly<Record<string, ManifestFlag>>;
}

const node = new CliNode();
const manifest = readFileSync(join(packageRoot(), 'oclif.manifest.json'), 'utf8');
const commands = JSON.parse(manifest).commands as Record<string, ManifestCommand>;

/** `defrag start (defrag-start): --pool|-p! --intensity= --wait`; `!` required, `=` takes a value. */
function surfaceOf(id: string, { hiddenAliases, args, flags }: ManifestCommand): string {
  const names = [id.replaceAll(':', ' '), ...hiddenAliases.map((alias) => `(${alias})`)].join(' ');
  const shownArgs = Object.entries(args).map(([name, arg]) =>
    arg.required ? name.toUpperCase() : `[${name.toUpperCase()}]`,
  );
  const shownFlags = Object.entries(flags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, flag]) => {
      const char = flag.char === undefined ? '' : `|-${flag.char}`;
      const value = flag.type === 'option' ? '=' : '';
      return `--${name}${char}${value}${flag.multiple ? '…' : ''}${flag.required ? '!' : ''}`;
    });
  return `${names}: ${[...shownArgs, ...shownFlags].join(' ')}`;
}

describe('the command line', () => {
  it('has these commands, aliases, arguments and flags', () => {
    const surface = Object.entries(commands).map(([id, command]) => surfaceOf(id, command));
    expect(surface.sort()).toMatchSnapshot();
  });

  it('has every name of the specification', () => {
    const aliases = Object.values(commands).flatMap((command) => command.hiddenAliases);
    const names = 'defrag-analyze defrag-start defrag-stop defrag-status trim-now trim-status';
    const others = 'add-disk remove-disk list-disks list-extents';
    expect(aliases).toEqual(expect.arrayContaining(`${names} ${others}`.split(' ')));
    expect(Object.keys(commands)).toEqual(expect.arrayContaining(['init', 'status']));
  });

  it.each(['defrag start', 'defrag-start', 'agent run'])(
    'explains itself: %s --help',
    async (id) => {
      const end = await node.run([...id.split(' '), '--help']);
      expect(end).toMatchObject({ code: 0, stderr: '' });
      expect(end.stdout).toMatch(/USAGE\n {2}\$ dynamicfs (defrag[ -]start|agent run)/);
      expect(end.stdout).toMatch(/EXIT STATUS: 0 /);
      expect(end.stdout).toMatch(/EXAMPLES\n {2}\$ dynamicfs (defrag[ -]start|agent run)/);
    },
  );

  it('lists its commands without arguments, and those of a topic', async () => {
    expect((await node.run([])).stdout).toContain('\nTOPICS\n');
    const topic = await node.run(['defrag']);
    expect(topic).toMatchObject({ code: 0 });
    expect(topic.stdout).toContain('defrag analyze');
  });

  it.each(['--version', '-v'])('says its version: %s', async (flag) => {
    const end = await node.run([flag]);
    expect(end).toMatchObject({ code: 0, stderr: '' });
    expect(end.stdout).toMatch(new RegExp(`^dynamicfs/${packageVersion()} linux-\\w+ node-v`));
  });
});

describe('nearest', () => {
  const words = ['defrag-start', 'defrag-status', 'put', 'trim now'];

  it.each([
    ['defrag-strat', 'defrag-start'],
    ['defrag-statsu', 'defrag-status'],
    ['trim-now', 'trim now'],
    ['putt', 'put'],
    ['xyz', null],
    ['', null],
    ['something else', null],
  ])('"%s" → %s', (asked, meant) => {
    expect(nearest(asked, words)).toBe(meant);
  });
});
