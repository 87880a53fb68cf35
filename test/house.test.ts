/** Rules of the house that no linter can hold. Each failure names what to do instead. */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_KINDS } from '../src/domain/errors.js';
import { kernelAddon } from '../src/kernel/addon.js';
import { packageRoot } from '../src/kernel/package-root.js';

const ROOT = packageRoot();

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function filesUnder(directory: string, extension: string): string[] {
  const path = join(ROOT, directory);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => join(directory, name));
}

/** The first group of each match. */
function allMatches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

describe('the border to C++', () => {
  it('declares the functions of the addon by the same names in the same order', () => {
    const declared = allMatches(read('native/addon.d.ts'), /^ {2}(\w+)\(.*\): [\w.]+;$/gm);
    const exported = allMatches(read('native/addon.cc'), /^ {4}\{"(\w+)", \w+\},$/gm);
    expect(declared.length).toBeGreaterThan(0);
    expect(exported).toEqual(declared);
    expect(Object.keys(kernelAddon())).toEqual(declared);
  });
});

describe('src/domain', () => {
  it('reads no clock and has no randomness: it takes both as arguments', () => {
    const found = filesUnder('src/domain', '.ts').flatMap((path) => {
      const code = read(path).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      const calls = code.match(
        /\bDate\.now|\bMath\.random|\bperformance\b|\bnew Date\(\s*\)|\brandom(UUID|Bytes|Int)\b/g,
      );
      return (calls ?? []).map((call) => `${path}: ${call}`);
    });
    expect(found).toEqual([]);
  });
});

describe('docs/errors.md', () => {
  it('lists every error code with its exit code and whether it is tried again', () => {
    const rows = [...read('docs/errors.md').matchAll(/^\| `(ERR_\w+)` \| (\d+) \| (yes|no) \|/gm)];
    const documented = Object.fromEntries(
      rows.map(([, code, exitCode, retried]) => [
        code,
        { exitCode: Number(exitCode), retryable: retried === 'yes' },
      ]),
    );
    expect(documented).toEqual(ERROR_KINDS);
    expect(rows.map(([, code]) => code)).toEqual(Object.keys(ERROR_KINDS));
  });
});

describe('oclif.manifest.json', () => {
  const hasCommands = filesUnder('src/commands', '.ts').length > 0;

  it.skipIf(!hasCommands)('is what npm run build makes of the commands', () => {
    const result = spawnSync(process.execPath, [join(ROOT, 'scripts/manifest.mjs'), '--check'], {
      encoding: 'utf8',
    });
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
  });
});
