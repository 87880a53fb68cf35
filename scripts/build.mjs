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
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { include_dir as napiHeaders } from 'node-api-headers';
import { compiledMark, compiledPath, readScript, runScript } from '../bin/load-script.js';
import { writeManifest } from './manifest.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const COMMAND_LINE = 'dist/command-line.cjs';
const QUEUE_SCRIPT = 'dist/queue-packages.cjs';

const NATIVE = ['better-sqlite3', '@napi-rs/blake-hash', '@node-rs/crc32'];

const EXTERNAL = [
  ...NATIVE,
  'bullmq',
  'ioredis',
  'piscina',
  'fastify',
  '@fastify/*',
  '@bull-board/*',
  'pino',
  'prom-client',
  'testcontainers',
];

/** For the agent and commands that talk to it; a file of their own, since the others start without. */
const QUEUE_PACKAGES = ['bullmq', 'ioredis', 'pino'];

const SHARED_OPTIONS = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  sourcemap: 'linked',
  external: EXTERNAL,
  metafile: true,
  logLevel: 'warning',
};

/** CommonJS inside an ES module still asks for these. */
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
writeCompiled();
await writeManifest(root);

/**
 * src/x → dist/x, workers/x → dist/workers/x, demo/x → dist/demo/x, what they share in chunks/; and
 * the command line as one file.
 */
async function bundle() {
  const sources = [
    ...['src/index.ts', 'src/agent/main.ts', 'demo/main.ts'].filter(existsSync),
    ...filesUnder('workers', '.ts'),
  ];
  const result = await build({
    ...SHARED_OPTIONS,
    entryPoints: sources.map((path) => ({
      in: path,
      out: path.replace(/^src\//, '').replace(/\.ts$/, ''),
    })),
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
    splitting: true,
    format: 'esm',
    banner: { js: COMMONJS_GLOBALS },
  });
  const scripts = [await bundleCommandLine(), await bundleQueuePackages()];

  // Afterwards, not before: a running agent may load a chunk at any time.
  const outputs = Object.assign(
    {},
    ...[result, ...scripts].map(({ metafile }) => metafile.outputs),
  );
  for (const path of filesUnder('dist', '.js', '.cjs', '.map')) {
    if (!(path in outputs)) rmSync(path);
  }
}

/** One CommonJS file, since a command starts in two thirds of the time that ES modules take. */
function bundleCommandLine() {
  const commands = filesUnder('src/commands', '.ts').map((path) => {
    const id = path.replace(/^src\/commands\//, '').replace(/\.ts$/, '');
    return `get '${id.replaceAll('/', ':')}'() { return require('./${path}').default; },`;
  });
  return buildScript(COMMAND_LINE, {
    stdin: {
      contents: `export { runCommandLine } from './src/cli/main.ts';
export const COMMANDS = {\n${commands.join('\n')}\n};`,
      resolveDir: root,
      sourcefile: 'command-line.ts',
    },
    external: [...EXTERNAL, 'yaml'],
    plugins: [{ name: 'queue packages', setup: takeQueuePackages }],
    banner: { js: "const __url = require('node:url').pathToFileURL(__filename).href;" },
    define: { 'import.meta.url': '__url' },
  });
}

function takeQueuePackages({ onResolve }) {
  onResolve({ filter: new RegExp(`^(${QUEUE_PACKAGES.join('|')})$`) }, () => ({
    path: `./${basename(QUEUE_SCRIPT)}`,
    external: true,
  }));
}

function bundleQueuePackages() {
  return buildScript(QUEUE_SCRIPT, {
    stdin: {
      contents: QUEUE_PACKAGES.map((name) => `export * from '${name}';`).join('\n'),
      resolveDir: root,
      sourcefile: 'queue-packages.ts',
    },
    external: NATIVE,
  });
}

async function buildScript(outfile, options) {
  const result = await build({
    ...SHARED_OPTIONS,
    ...options,
    outfile,
    minifyWhitespace: true,
    format: 'cjs',
    // V8 forgets who would do an import() when it takes compiled code.
    supported: { 'dynamic-import': false },
    write: false,
  });
  for (const { path, text, hash } of result.outputFiles) {
    // See bin/load-script.js for the last line.
    writeWhole(path, path.endsWith('.cjs') ? `${text}// ${hash}\n` : text);
  }
  return result;
}

/** What V8 makes of the scripts, with the top level of every command's modules. */
function writeCompiled() {
  const [commandLine, queue] = [COMMAND_LINE, QUEUE_SCRIPT].map((path) => {
    const source = readScript(resolve(path));
    return { path, source, ...runScript(resolve(path), source) };
  });
  for (const id of Object.keys(commandLine.exports.COMMANDS)) commandLine.exports.COMMANDS[id];
  for (const { path, source, script } of [commandLine, queue]) {
    const compiled = [script.createCachedData(), Buffer.from(compiledMark(source), 'latin1')];
    writeWhole(compiledPath(path), Buffer.concat(compiled));
  }
}

/** Whole or not at all: a command that starts meanwhile reads it. */
function writeWhole(path, content) {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
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
