/**
 * The programs that npm cannot install: looked up by name, installed through apt-get when missing.
 *
 * Redis is the one that needs care. The package redis-server would start a service on port 6379 and
 * at every boot, which nobody asked for: dynamicfs starts its own Redis on a socket. Its program,
 * though, is in redis-tools: redis-check-rdb is the server under another name, and acts by the name
 * it is called by. So redis-tools is installed and the program given its name in /usr/local/bin.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, symlinkSync } from 'node:fs';
import { join } from 'node:path';

const REDIS_PROGRAM = '/usr/bin/redis-check-rdb';
const REDIS_LINK = '/usr/local/bin/redis-server';

const ALWAYS = [
  { program: 'redis-server', package: 'redis-tools', why: 'queues' },
  { program: 'setpriv', package: 'util-linux', why: 'ends Redis with the agent' },
  { program: 'g++', package: 'g++', why: 'compiles the addon' },
  { program: 'make', package: 'make', why: 'compiles SQLite' },
  { program: 'python3', package: 'python3', why: 'compiles SQLite' },
];
const FOR_TESTS = [
  { program: 'mkfs.ext4', package: 'e2fsprogs', why: 'file systems to test on' },
  { program: 'mkfs.xfs', package: 'xfsprogs', why: 'file systems to test on' },
  { program: 'mkfs.btrfs', package: 'btrfs-progs', why: 'file systems to test on' },
  { program: 'nbdfuse', package: 'libnbd-bin', why: 'disks that fail' },
  { program: 'setfattr', package: 'attr', why: 'attributes to keep' },
  { program: 'losetup', package: 'mount', why: 'devices to test on' },
];
const FOR_BENCH = [{ program: 'fio', package: 'fio', why: 'disk load' }];

/** @param options `--tests` and `--bench` ask for what only those need. */
export function installSystemPackages(options) {
  const wanted = [
    ...ALWAYS,
    ...(options.includes('--tests') ? FOR_TESTS : []),
    ...(options.includes('--bench') ? FOR_BENCH : []),
  ];
  const missing = wanted.filter(({ program }) => !isInstalled(program));
  if (missing.length === 0) return;

  const packages = [...new Set(missing.map((item) => item.package))];
  if (process.getuid() !== 0 || !isInstalled('apt-get')) refuse(missing, packages);

  const reasons = missing.map(({ program, why }) => `${program} (${why})`).join(', ');
  console.log(`setup: installing ${packages.join(' ')} for ${reasons}`);
  aptGet(['update']);
  aptGet(['install', '-y', '--no-install-recommends', ...packages]);
  if (!isInstalled('redis-server')) nameRedisServer();

  const stillMissing = wanted.filter(({ program }) => !isInstalled(program));
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

function aptGet(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const result = spawnSync('apt-get', args, { env, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  console.error(`setup: "apt-get ${args.join(' ')}" failed`);
  process.exit(1);
}

/** Says what to run instead. Whoever installs by hand decides about the service as well. */
function refuse(missing, packages) {
  const names = packages.map((name) => (name === 'redis-tools' ? 'redis-server' : name));
  console.error(`setup: not found: ${missing.map(({ program }) => program).join(', ')}. Install:`);
  console.error(`  sudo apt-get install --no-install-recommends ${names.join(' ')}`);
  process.exit(1);
}
