#!/usr/bin/env node
/**
 * Builds dist/ (bundles and declarations), the addon and the command manifest.
 *
 * Bundled, because a command must start fast: loading oclif file by file costs as much as Node
 * itself. What is native, or finds its own files at run time, stays in node_modules.
 * `--no-declarations` leaves out what only users of the package as a library need.
 */

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { include_dir as napiHeaders } from 'node-api-headers';
import { writeManifest } from './manifest.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const EXTERNAL = [
  'better-sqlite3',
  'bullmq',
  'ioredis',
  'piscina',
  'fastify',
  '@fastify/*',
  '@bull-board/*',
  'pino',
  'prom-client',
  '@napi-rs/blake-hash',
  '@node-rs/crc32',
  'testcontainers',
];

/** CommonJS inside an ES module still asks for these three. */
const COMMONJS_GLOBALS = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const require = __createRequire(import.meta.url);',
  'const __filename = import.meta.filename;',
  'const __dirname = import.meta.dirname;',
].join('\n');

process.chdir(root);
await bundle();
if (!process.argv.includes('--no-declarations')) emitDeclarations();
compileAddon();
if (filesUnder('dist/commands', '.js').length > 0 || process.argv.includes('--manifest')) {
  await writeManifest(root);
}

/** src/x → dist/x, workers/x → dist/workers/x, demo/x → dist/demo/x, what they share in chunks/. */
async function bundle() {
  const sources = [
    ...['src/index.ts', 'src/cli/main.ts', 'src/agent/main.ts', 'demo/main.ts'].filter(existsSync),
    ...filesUnder('src/commands', '.ts'),
    ...filesUnder('workers', '.ts'),
  ];
  const result = await build({
    entryPoints: sources.map((path) => ({
      in: path,
      out: path.replace(/^src\//, '').replace(/\.ts$/, ''),
    })),
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'linked',
    external: EXTERNAL,
    banner: { js: COMMONJS_GLOBALS },
    metafile: true,
    logLevel: 'warning',
  });

  // Afterwards, not before: a running agent may load a chunk at any time. A stale file in
  // dist/commands would be a command.
  const written = new Set(Object.keys(result.metafile.outputs));
  for (const path of filesUnder('dist', '.js', '.js.map')) {
    if (!written.has(path)) rmSync(path);
  }
}

function emitDeclarations() {
  rmSync('dist/types', { recursive: true, force: true });
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  mkdirSync('dist/types/native', { recursive: true });
  // TypeScript copies no declaration that was written by hand, and src/kernel refers to this one.
  copyFileSync('native/addon.d.ts', 'dist/types/native/addon.d.ts');
}

function compileAddon() {
  const sources = filesUnder('native', '.cc');
  const target = 'native/build/dynamicfs.node';
  const changedAtMs = Math.max(
    ...[...sources, ...filesUnder('native', '.h')].map((path) => statSync(path).mtimeMs),
  );
  if (existsSync(target) && statSync(target).mtimeMs > changedAtMs) return;

  mkdirSync(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}`;
  const flags = [
    '-O2',
    '-std=c++17',
    '-shared',
    '-fPIC',
    '-pthread',
    '-Wall',
    '-Wextra',
    '-Werror',
  ];
  run('g++', [...flags, '-I', relative(root, resolve(napiHeaders)), ...sources, '-o', temporary]);
  // Writing over the old file would crash the processes that have it mapped.
  renameSync(temporary, target);
}

/** Its own message says what failed; the stack of this script adds nothing. */
function run(command, args) {
  try {
    execFileSync(command, args, { stdio: 'inherit' });
  } catch (error) {
    console.error(`build: ${command} ${args[0]} failed: ${error.message.split('\n', 1)[0]}`);
    process.exit(1);
  }
}

/** Sorted paths relative to the root; none when the directory is not there. */
function filesUnder(directory, ...extensions) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true })
    .map((name) => join(directory, name))
    .filter((path) => extensions.some((extension) => path.endsWith(extension)))
    .filter((path) => !path.endsWith('.d.ts'))
    .sort();
}
