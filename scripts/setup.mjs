#!/usr/bin/env node
/**
 * Makes a fresh machine ready: system packages, node_modules, build. Quiet when all is there.
 *
 * Only modules of Node itself, since it runs before there are others. It installs what is missing
 * and removes nothing. `--tests` and `--bench` add what those need.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installSystemPackages } from './system-packages.mjs';

const DEPENDENCIES_STAMP = 'node_modules/.dynamicfs-setup.json';
const BUILD_STAMP = 'dist/.built-from';

const SOURCES = [
  'src',
  'workers',
  'demo',
  'native',
  'scripts',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
];

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
if (process.argv.includes('--tests')) countFailureAsTest();
installSystemPackages(process.argv.slice(2));
installDependencies();
buildWhenChanged();

/** The last line of `npm test` is a count, also when the tests cannot even begin. */
function countFailureAsTest() {
  process.on('exit', (code) => {
    if (code !== 0) console.log('0 passed, 1 failed, 0 skipped');
  });
}

/** `npm ci`, unless node_modules was installed from this lock file by this version of Node. */
function installDependencies() {
  const wanted = JSON.stringify({
    lock: sha256(readFileSync('package-lock.json')),
    abi: process.versions.modules,
  });
  if (readOrEmpty(DEPENDENCIES_STAMP) === wanted) return;

  if (!installedByHand()) {
    say('installing npm packages; SQLite is compiled, which takes about two minutes');
    run('npm', ['ci', '--no-audit', '--no-fund'], { ...process.env, ...headersOfNode() });
  }
  writeFileSync(DEPENDENCIES_STAMP, wanted);
}

/** Whether an `npm ci` that we did not start left all that the lock file names, and it loads. */
function installedByHand() {
  const installed = readOrEmpty('node_modules/.package-lock.json');
  if (installed === '') return false;
  const present = JSON.parse(installed).packages;
  const locked = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
  const complete = Object.entries(locked).every(
    ([path, { version, optional }]) =>
      path === '' || optional || present[path]?.version === version,
  );
  const openDatabase = "new (require('better-sqlite3'))(':memory:')";
  return complete && spawnSync(process.execPath, ['-e', openDatabase]).status === 0;
}

/** Compiling wants the headers of Node; where they are installed nothing has to be downloaded. */
function headersOfNode() {
  const prefixes = ['/usr', dirname(dirname(process.execPath))];
  const prefix = prefixes.find((path) => existsSync(join(path, 'include/node/node_api.h')));
  return prefix === undefined ? {} : { npm_config_nodedir: prefix };
}

function buildWhenChanged() {
  const hash = createHash('sha256');
  for (const path of SOURCES.flatMap(filesUnder)) hash.update(path).update(readFileSync(path));
  const wanted = hash.digest('hex');
  const built = existsSync('native/build/dynamicfs.node') && existsSync('dist/command-line.cjs');
  if (built && readOrEmpty(BUILD_STAMP) === wanted) return;

  say('building');
  run(process.execPath, ['scripts/build.mjs', '--no-declarations'], process.env);
  writeFileSync(BUILD_STAMP, wanted);
}

/** Runs a step without a word; what it said is shown when it fails. */
function run(command, args, env) {
  try {
    execFileSync(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20 });
  } catch (error) {
    process.stderr.write(`${error.stdout ?? ''}${error.stderr ?? ''}`);
    console.error(`setup: "${command} ${args.join(' ')}" failed (${error.code ?? error.status})`);
    process.exit(1);
  }
}

/** Sorted; compiled files are no source. */
function filesUnder(path) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.startsWith(join('native', 'build')))
    .sort();
}

function sha256(content) {
  return createHash('sha256').update(content).digest('hex');
}

function readOrEmpty(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function say(what) {
  console.log(`setup: ${what}`);
}
