/**
 * The programs that npm cannot install: looked up by name, installed through apt-get when missing.
 *
 * Redis is the one that needs care. The package redis-server would start a service on port 6379 and
 * at every boot, which nobody asked for: dynamicfs starts its own Redis on a socket. Its program,
 * though, is in redis-tools: redis-check-rdb is the server under another name, and acts by the name
 * it is called by. So redis-tools is installed and the program given its name in /usr/local/bin.
 */

import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LOCAL_BIN = '/usr/local/bin';
const REDIS_PROGRAM = '/usr/bin/redis-check-rdb';
const REDIS_LINK = join(LOCAL_BIN, 'redis-server');

const ALWAYS = [
  { program: 'redis-server', package: 'redis-tools', why: 'queues' },
  { program: 'setpriv', package: 'util-linux', why: 'ends Redis with the agent' },
  { program: 'g++', package: 'g++', why: 'compiles the addon' },
  { program: 'make', package: 'make', why: 'compiles SQLite' },
  { program: 'python3', package: 'python3', why: 'compiles SQLite' },
];
const FOR_FILE_SYSTEMS = [
  { program: 'mkfs.ext4', package: 'e2fsprogs', why: 'file systems to work on' },
  { program: 'mkfs.xfs', package: 'xfsprogs', why: 'file systems to work on' },
  { program: 'mkfs.btrfs', package: 'btrfs-progs', why: 'file systems to work on' },
  { program: 'losetup', package: 'mount', why: 'devices to work on' },
];
const FOR_TESTS = [
  ...FOR_FILE_SYSTEMS,
  { program: 'setfattr', package: 'attr', why: 'attributes to keep' },
  { program: 'nbdfuse', package: 'libnbd-bin', why: 'disks that fail' },
  { program: 'systemd-analyze', package: 'systemd', why: 'checks the units', optional: true },
  { program: 'fish', package: 'fish', why: 'completion', optional: true },
  { program: 'zsh', package: 'zsh', why: 'completion', optional: true },
  { program: 'promtool', package: 'prometheus', why: 'checks alerts', optional: true },
];
/** Packages that would start a service: only the program is taken out of them. */
const TAKEN_OUT = new Set(['prometheus']);
const FOR_BENCH = [...FOR_FILE_SYSTEMS, { program: 'fio', package: 'fio', why: 'disk load' }];

/** @param options `--tests`, `--bench` and the demo's `--filesystem` ask for what only those need. */
export function installSystemPackages(options) {
  const wanted = [
    ...ALWAYS,
    ...(options.includes('--tests') ? FOR_TESTS : []),
    ...(options.includes('--bench') ? FOR_BENCH : []),
    ...(options.some((one) => one.startsWith('--filesystem')) ? FOR_FILE_SYSTEMS : []),
  ];
  const canInstall = process.getuid() === 0 && isInstalled('apt-get');
  // Tests that want an optional one skip, and say so.
  const isWanted = ({ program, optional }) => !isInstalled(program) && (canInstall || !optional);
  const missing = wanted.filter(isWanted);
  if (missing.length === 0) return;

  const packages = [...new Set(missing.map((item) => item.package))];
  if (!canInstall) refuse(missing, packages);

  const reasons = missing.map(({ program, why }) => `${program} (${why})`).join(', ');
  console.log(`setup: installing ${packages.join(' ')} for ${reasons}`);
  aptGet(['update']);
  const installed = packages.filter((name) => !TAKEN_OUT.has(name));
  if (installed.length > 0) aptGet(['install', '-y', '--no-install-recommends', ...installed]);
  for (const item of missing) if (TAKEN_OUT.has(item.package)) takeOut(item);
  if (!isInstalled('redis-server')) nameRedisServer();

  const stillMissing = wanted.filter(isWanted);
  if (stillMissing.length > 0) refuse(stillMissing, packages);
}

/** The directories of system programs are not on every user's PATH. */
function isInstalled(program) {
  const directories = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return directories.some((directory) => isExecutable(join(directory, program)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function nameRedisServer() {
  const reply = spawnSync(REDIS_PROGRAM, ['--version'], {
    argv0: 'redis-server',
    encoding: 'utf8',
  });
  if (!reply.stdout?.startsWith('Redis server')) return;
  symlinkSync(REDIS_PROGRAM, REDIS_LINK);
  console.log(`setup: ${REDIS_LINK} is ${REDIS_PROGRAM}; no Redis service is installed`);
}

/** Unpacks one program of a package, and leaves its service where it is. */
function takeOut({ program, package: name }) {
  const directory = mkdtempSync(join(tmpdir(), 'dynamicfs-setup-'));
  try {
    aptGet(['download', name], directory);
    const [archive] = readdirSync(directory);
    run('dpkg-deb', ['--extract', archive, 'contents'], directory);
    copyFileSync(join(directory, 'contents/usr/bin', program), join(LOCAL_BIN, program));
    chmodSync(join(LOCAL_BIN, program), 0o755);
    console.log(`setup: ${join(LOCAL_BIN, program)} is from ${name}; its service is not installed`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function aptGet(args, cwd) {
  run('apt-get', args, cwd);
}

function run(program, args, cwd) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const result = spawnSync(program, args, { cwd, env, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  console.error(`setup: "${program} ${args.join(' ')}" failed`);
  process.exit(1);
}

/** Says what to run instead. Whoever installs by hand decides about the service as well. */
function refuse(missing, packages) {
  const names = packages.map((name) => (name === 'redis-tools' ? 'redis-server' : name));
  console.error(`setup: not found: ${missing.map(({ program }) => program).join(', ')}. Install:`);
  console.error(`  sudo apt-get install --no-install-recommends ${names.join(' ')}`);
  process.exit(1);
}
