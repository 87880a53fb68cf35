/** Finds the timers and cron jobs of others that trim or defragment. */

import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Maintainer } from '../domain/findings.js';
import type { FsType } from '../domain/mounts.js';

type Work = Maintainer['does'];

const TIMERS: readonly { name: string; does: Work; fsTypes: readonly FsType[] }[] = [
  { name: 'fstrim.timer', does: 'trim', fsTypes: ['ext4', 'xfs', 'btrfs', 'other'] },
  { name: 'btrfs-trim.timer', does: 'trim', fsTypes: ['btrfs'] },
  { name: 'btrfs-defrag.timer', does: 'defragment', fsTypes: ['btrfs'] },
  { name: 'btrfs-balance.timer', does: 'balance', fsTypes: ['btrfs'] },
  { name: 'btrfs-scrub.timer', does: 'check', fsTypes: ['btrfs'] },
  { name: 'e2scrub_all.timer', does: 'check', fsTypes: ['ext4'] },
  { name: 'xfs_scrub_all.timer', does: 'check', fsTypes: ['xfs'] },
];

const CRON_WORDS: readonly { word: RegExp; does: Work; fsTypes: readonly FsType[] }[] = [
  { word: /fstrim/, does: 'trim', fsTypes: ['ext4', 'xfs', 'btrfs', 'other'] },
  { word: /xfs_fsr/, does: 'defragment', fsTypes: ['xfs'] },
  { word: /e4defrag/, does: 'defragment', fsTypes: ['ext4'] },
  { word: /btrfs-?trim/, does: 'trim', fsTypes: ['btrfs'] },
  { word: /btrfs-?defrag/, does: 'defragment', fsTypes: ['btrfs'] },
  { word: /btrfs-?balance/, does: 'balance', fsTypes: ['btrfs'] },
];
const CRON_DIRECTORIES = ['cron.hourly', 'cron.daily', 'cron.weekly', 'cron.monthly', 'cron.d'];
/** A job that is larger is a program. */
const TEXT_BYTES_MAX = 64 * 1024;

/** @param etcPath `/etc`, or a tree that a test has made. Never throws. */
export function findMaintainers(fsType: FsType, etcPath = '/etc'): Maintainer[] {
  return [...enabledTimers(fsType, etcPath), ...cronJobs(fsType, etcPath)];
}

/** Enabled is a link in a `.wants` directory; masked is a link to /dev/null. Source: systemctl(1). */
function enabledTimers(fsType: FsType, etcPath: string): Maintainer[] {
  const systemPath = join(etcPath, 'systemd/system');
  const wants = namesIn(systemPath).filter((name) => name.endsWith('.wants'));
  return TIMERS.filter(({ fsTypes }) => fsTypes.includes(fsType)).flatMap(({ name, does }) => {
    if (linkTarget(join(systemPath, name)) === '/dev/null') return [];
    const path = wants
      .map((directory) => join(systemPath, directory, name))
      .find((link) => linkTarget(link) !== null || existsSync(link));
    return path === undefined ? [] : [{ name, path, does }];
  });
}

function cronJobs(fsType: FsType, etcPath: string): Maintainer[] {
  const kinds = CRON_WORDS.filter(({ fsTypes }) => fsTypes.includes(fsType));
  const table = join(etcPath, 'crontab');
  const inTable = kindByText(table, kinds);
  const own = inTable ? [{ name: 'crontab', path: table, does: inTable.does }] : [];
  const inDirectories = CRON_DIRECTORIES.flatMap((directory) =>
    namesIn(join(etcPath, directory)).flatMap((name) => {
      const path = join(etcPath, directory, name);
      const kind = kinds.find(({ word }) => word.test(name)) ?? kindByText(path, kinds);
      return kind ? [{ name, path, does: kind.does }] : [];
    }),
  );
  return [...own, ...inDirectories];
}

/** By what it runs: a job may have any name. */
function kindByText(
  path: string,
  kinds: typeof CRON_WORDS,
): (typeof CRON_WORDS)[number] | undefined {
  const lines = readOrEmpty(path)
    .split('\n')
    .filter((line) => !/^\s*#/.test(line));
  return kinds.find(({ word }) => lines.some((line) => word.test(line)));
}

function readOrEmpty(path: string): string {
  try {
    const { size } = statSync(path);
    return size > TEXT_BYTES_MAX ? '' : readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function linkTarget(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
