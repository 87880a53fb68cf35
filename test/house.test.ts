/** Rules of the house that no linter can hold. Each failure names what to do instead. */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { OUTPUT_SCHEMAS } from '../src/cli/schemas.js';
import { ERROR_KINDS } from '../src/domain/errors.js';
import { SKIP_REASONS } from '../src/domain/move-tasks.js';
import { kernelAddon } from '../src/kernel/addon.js';
import { CRASH_POINTS } from '../src/kernel/crash-point.js';
import { packageRoot } from '../src/kernel/package-root.js';
import { Metrics } from '../src/observability/metrics.js';

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

function sortedByName<T extends { readonly name: string | undefined }>(items: readonly T[]): T[] {
  return [...items].sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
}

function manifestCommands(): Record<string, { description: string; flags: object }> {
  return JSON.parse(read('oclif.manifest.json')).commands;
}

describe('the border to C++', () => {
  it('declares the functions of the addon by the same names in the same order', () => {
    const declared = allMatches(read('native/addon.d.ts'), /^ {2}(\w+)\([^)]*\): [\w.]+;$/gm);
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
        /\bDate\.now|\bMath\.random|\bperformance\b(?!['":])|\bnew Date\(\s*\)|\brandom(UUID|Bytes|Int)\b/g,
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

describe('error codes', () => {
  it('are documented wherever the code makes one', () => {
    const files = [...filesUnder('src', '.ts'), ...filesUnder('workers', '.ts')];
    const used = files.flatMap((path) => allMatches(read(path), /['"](ERR_[A-Z_]+)['"]/g));
    // Node's own, which we only recognise.
    const ours = [...new Set(used)].filter((code) => !code.startsWith('ERR_WORKER_'));
    expect(ours.filter((code) => !(code in ERROR_KINDS))).toEqual([]);
  });
});

describe('docs/metrics.md', () => {
  it('lists every metric of ours with its type and labels', async () => {
    const metrics = await new Metrics().registry.getMetricsAsArray();
    const made = metrics
      .filter(({ name }) => name.startsWith('dynamicfs_'))
      .map((metric) => {
        const { name, type, labelNames } = metric as typeof metric & { labelNames: string[] };
        return { name, type: String(type), labels: labelNames.join(', ') };
      });
    const rows = read('docs/metrics.md').matchAll(/^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\| /gm);
    const documented = [...rows].map(([, name, type, labels]) => ({ name, type, labels }));
    expect(made.length).toBeGreaterThan(0);
    expect(sortedByName(documented)).toEqual(sortedByName(made));
  });

  it('names the five of the specification', () => {
    const named = allMatches(read('docs/metrics.md'), /Specification: `(\w+)`/g);
    expect(named).toEqual([
      'defrag_runs_completed',
      'defrag_extents_moved',
      'defrag_bytes_moved',
      'trim_operations',
      'trim_bytes_reclaimed',
    ]);
  });
});

describe('docs/architecture.md', () => {
  it('says what a crash at each point leaves', () => {
    const named = new Set(
      allMatches(
        read('docs/architecture.md'),
        /`((?:rewrite|discard|put|journal|move|trim)-\w+(?:-\w+)*)`/g,
      ),
    );
    expect([...CRASH_POINTS].filter((point) => !named.has(point))).toEqual([]);
  });
});

describe('docs/file-moves.md', () => {
  it('explains every reason for which a file is left alone', () => {
    const [, table = ''] = read('docs/file-moves.md').split('## Why files are left alone');
    const explained = allMatches(table, /^\| `([\w-]+)` \| /gm);
    expect(explained).toEqual([...SKIP_REASONS]);
  });
});

describe('docs/schemas', () => {
  it('is what npm run schemas makes of src/cli/schemas.ts', () => {
    const script = join(ROOT, 'scripts/schemas.mjs');
    const result = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
  });

  it('has a schema for every command that takes --json', () => {
    const ids = Object.entries(manifestCommands())
      .filter(([, command]) => 'json' in command.flags)
      .map(([id]) => id.replaceAll(':', ' '));
    const { error: _, ...schemas } = OUTPUT_SCHEMAS;
    expect(Object.keys(schemas).sort()).toEqual(ids.sort());
  });
});

describe('commands', () => {
  it('list their exit codes, each of which there is', () => {
    const known = new Set<number>([
      0,
      1,
      ...Object.values(ERROR_KINDS).map((kind) => kind.exitCode),
    ]);
    for (const [id, { description }] of Object.entries(manifestCommands())) {
      const [, list = ''] = /EXIT STATUS: ([\s\S]+)$/.exec(description) ?? [];
      const codes = allMatches(list, /(?:^|, |also )(\d+) /g).map(Number);
      expect({ id, codes }).toMatchObject({ codes: expect.arrayContaining([0, 2]) });
      expect({ id, unknown: codes.filter((code) => !known.has(code)) }).toEqual({
        id,
        unknown: [],
      });
    }
  });
});

describe('zod', () => {
  it('is imported as a namespace: a bundle then leaves out all languages but one', () => {
    const imports = ['src', 'workers'].flatMap((directory) =>
      filesUnder(directory, '.ts').flatMap((path) =>
        [...read(path).matchAll(/^import (.+) from 'zod';$/gm)].map(
          ([, what]) => `${path}: ${what}`,
        ),
      ),
    );
    expect(imports.length).toBeGreaterThan(0);
    expect(imports.filter((one) => !one.endsWith(': * as z'))).toEqual([]);
  });
});

describe('the length of files', () => {
  it.each(['workers', 'src/commands', 'src/cli', 'src/domain', 'src/store'])(
    'is 300 lines at most in %s: split what is longer',
    (directory) => {
      const long = filesUnder(directory, '.ts')
        .map((path) => ({ path, lines: read(path).split('\n').length - 1 }))
        .filter(({ lines }) => lines > 300);
      expect(long).toEqual([]);
    },
  );
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
