/** Completion, by real shells: keys are typed into bash and zsh on a terminal, fish is asked. */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/kernel/package-root.js';
import { CliNode } from '../support/cli-run.js';
import { missing } from '../support/programs.js';
import { tempDirectory } from '../support/temp-directory.js';

const ROOT = packageRoot();
const READY_MS = 60_000;
const node = new CliNode();
const directory = tempDirectory('completion');
const scripts = { bash: '', zsh: '', fish: '' };
const shells = ['bash', 'zsh', 'fish'] as const;

interface ManifestCommand {
  readonly hiddenAliases: readonly string[];
  readonly flags: Readonly<Record<string, { readonly char?: string }>>;
}

beforeAll(async () => {
  for (const shell of shells) {
    const text = await node.text('completion', shell);
    scripts[shell] = join(directory, shell);
    writeFileSync(scripts[shell], text);
  }
});

/** Types into an interactive shell; what the command was called with, line by line. */
function typed(shell: 'bash' | 'zsh', lines: readonly string[]): string[] {
  const output = join(directory, `${shell}.out`);
  writeFileSync(output, '');
  const setUp =
    shell === 'bash'
      ? `source ${scripts.bash}`
      : `autoload -Uz compinit; compinit -u -D; source ${scripts.zsh}`;
  const keys = [
    setUp,
    `dynamicfs() { printf '<%s>' "$@" >> ${output}; echo >> ${output}; }`,
    ...lines,
    'exit\n',
  ];
  const command = shell === 'bash' ? 'bash --norc -i' : 'zsh -f -i';
  const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
    cwd: directory,
    env: { ...process.env, TERM: 'dumb', INPUTRC: '/dev/null', HISTFILE: '/dev/null' },
    input: keys.join('\n'),
    encoding: 'utf8',
    timeout: READY_MS,
  });
  expect({ shell, status, stdout }).toMatchObject({ status: 0 });
  return readFileSync(output, 'utf8').trimEnd().split('\n');
}

const TAB = '\t';
const file = join(ROOT, 'READ');
/** What is typed, and what the command must then be given. */
const LINES: readonly [string, string[]][] = [
  [
    `dynamicfs tr${TAB}no${TAB}--inten${TAB}lo${TAB}--pool ${file}${TAB}`,
    ['trim', 'now', '--intensity', 'low', '--pool', `${file}ME.md`],
  ],
  [`dynamicfs trim-now --sec${TAB}`, ['trim-now', '--secure-erase']],
  [`dynamicfs put ${file}${TAB}`, ['put', `${file}ME.md`]],
  [`dynamicfs completion fi${TAB}`, ['completion', 'fish']],
];

describe.each(['bash', 'zsh'] as const)('completion of %s', (shell) => {
  const lacks = missing(shell);
  it.skipIf(lacks)(`completes commands, flags, values and paths that are typed${lacks}`, () => {
    const given = typed(
      shell,
      LINES.map(([keys]) => keys),
    );
    // zsh writes the value behind an equals sign.
    const plain = given.map((line) => line.replaceAll('=', '><'));
    expect(plain).toEqual(LINES.map(([, args]) => args.map((arg) => `<${arg}>`).join('')));
  });
});

describe('completion of bash', () => {
  it('knows every command, alias and flag', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'oclif.manifest.json'), 'utf8'));
    const commands = manifest.commands as Record<string, ManifestCommand>;
    const wanted = Object.entries(commands).flatMap(([id, { hiddenAliases, flags }]) => {
      const known = Object.keys(flags).map((name) => `--${name}`);
      const names = [id.replace(':', ' '), ...hiddenAliases];
      return names.map((name) => `${[name, ...known.sort()].join(' ')}`);
    });
    const asks = wanted.map((line) => {
      const [name = ''] = line.split(' --');
      return `ask ${name} --`;
    });
    const script = `source ${scripts.bash}
      ask() {
        COMP_WORDS=(dynamicfs "$@") COMP_CWORD=$#
        _dynamicfs
        echo "\${@:1:$#-1} $(printf '%s\\n' "\${COMPREPLY[@]}" | LC_ALL=C sort | xargs)"
      }
      ${asks.join('\n')}`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.trimEnd()),
    ).toEqual(wanted);
  });
});

const noFish = missing('fish');
describe.skipIf(noFish)(`completion of fish${noFish}`, () => {
  it.each([
    ['tr', ['trim']],
    ['trim ', ['now', 'pause', 'resume', 'set', 'status', 'stop']],
    ['trim now --inten', ['--intensity']],
    ['trim-now --intensity ', ['high', 'low', 'medium']],
    [`put ${file}`, [`${file}ME.md`]],
    ['completion ', ['bash', 'fish', 'zsh']],
  ])('answers to "%s"', (line, words) => {
    const ask = `source ${scripts.fish}; complete -C 'dynamicfs ${line}'`;
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', ask], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const offered = stdout
      .trimEnd()
      .split('\n')
      .map((one) => one.split('\t')[0]);
    expect(offered.sort()).toEqual(words);
  });
});
