/** What a block device carries: file systems, partition tables, RAID and volume signatures. */

import { spawnSync } from 'node:child_process';
import { MaintenanceError } from '../domain/errors.js';

const FOUND = 0;
const FOUND_NOTHING = 2;
const AMBIVALENT = 8;
const PROBE_MS_MAX = 60_000;

/**
 * Asks blkid, by a low-level probe of the device itself: never its cache, which may be years old.
 *
 * @returns what there is, in words (`ext4 file system "home"`), or null for nothing known.
 * @throws MaintenanceError ERR_UNSUPPORTED when blkid is not installed, or says neither.
 *
 * Source: blkid(8), --probe; libblkid knows about 80 kinds.
 */
export function findSignature(path: string): string | null {
  const probe = spawnSync('blkid', ['--probe', '--output', 'export', path], {
    encoding: 'utf8',
    timeout: PROBE_MS_MAX,
    // Its path has /usr/sbin for root only.
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
  });
  if (probe.status === FOUND_NOTHING) return null;
  if (probe.status === AMBIVALENT) return 'signatures of several kinds';
  if (probe.status === FOUND) return describe(probe.stdout);
  const reason = probe.error?.message ?? probe.stderr.trim();
  throw new MaintenanceError('ERR_UNSUPPORTED', `blkid cannot probe ${path}: ${reason}`, {
    nextStep: 'Install util-linux: without blkid nobody knows whether the device is in use.',
  });
}

/** An empty `export` of a device that has sectors, but no signature, has no TYPE in it. */
function describe(text: string): string | null {
  const tags = new Map(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
  const label = tags.get('LABEL');
  const named = label === undefined ? '' : ` "${label.replaceAll('\\ ', ' ')}"`;
  const type = tags.get('TYPE');
  if (type !== undefined) {
    const what = { filesystem: 'file system', raid: 'RAID member', crypto: 'encrypted volume' };
    const usage = what[tags.get('USAGE') as keyof typeof what] ?? 'signature';
    return `${type} ${usage}${named}`;
  }
  const table = tags.get('PTTYPE');
  return table === undefined ? null : `${table} partition table`;
}
