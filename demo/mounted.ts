/**
 * The demo on mounted file systems: an image, a loop device, a mount, and files that really lie in
 * pieces. Needs root, as mounting does.
 */

import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFragments } from '../bench/support/make-fragments.mjs';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { DemoPlace } from './demo-place.js';
import { FS_TYPES, type FsType, MountedImage } from './mounted-image.js';

const FILE_COUNT = 120;
const LARGE_EVERY = 20;
const SMALL_BYTES = 512 * 1024;
const LARGE_BYTES = 16 * 1024 ** 2;
const DELETED_BYTES = 96 * 1024 ** 2;
const STAT_BLOCK_BYTES = 512;
const QUIET_MS = 11_000;
const COLD_READS = 3;

/** @returns the file systems asked for by `--filesystem` (all) or `--filesystem=TYPE`; else none. */
export function wantedTypes(args: readonly string[]): readonly FsType[] {
  const asked = args.find((arg) => arg.startsWith('--filesystem'));
  if (asked === undefined) return [];
  const type = asked.split('=')[1];
  if (type === undefined) return FS_TYPES;
  const known = FS_TYPES.filter((one) => one === type);
  if (known.length === 0) throw new Error(`--filesystem takes ${FS_TYPES.join(', ')}, not ${type}`);
  return known;
}

/** @throws Error when a command fails, or a file is not what it was. */
export async function demoOnMounts(types: readonly FsType[]): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('mounting a file system needs root');
  for (const type of types) {
    using place = new DemoPlace();
    using image = new MountedImage(place.root, type);
    await demoOn(type, place, image);
  }
}

async function demoOn(type: FsType, place: DemoPlace, image: MountedImage): Promise<void> {
  const { mountPath } = image;
  const pool = ['--pool', mountPath];

  place.title(`${type}: files in pieces, on ${image.devicePath}`);
  const directory = join(mountPath, 'files');
  mkdirSync(directory);
  const files = fragmentedFiles(directory);
  makeFragments(mountPath, type, files);
  deleteSome(mountPath);
  const manifest = checksums(directory);
  place.say(`${manifest.size} files, their contents noted`);
  // Somebody may still be at what was written a moment ago: such files are left alone.
  await sleep(QUIET_MS);
  const before = { readBytesPerSec: readCold(directory), imageBytes: allocatedBytes(image) };

  place.title(`${type}: look`);
  place.run('defrag', 'analyze', ...pool, '--map');
  place.run('doctor', ...pool);
  place.run('defrag', 'start', ...pool, '--dry-run');

  place.title(`${type}: defragment, verified, through the queue and the agent`);
  place.run('init', ...pool);
  place.run(
    'defrag',
    'start',
    ...pool,
    '--intensity',
    'high',
    '--threads',
    '2',
    '--once',
    '--wait',
  );
  place.run('defrag', 'status', ...pool);
  place.run('defrag', 'analyze', ...pool, '--map');

  place.title(`${type}: give the free space back`);
  place.run('trim', 'now', ...pool, '--dry-run');
  place.run('trim', 'now', ...pool);
  const after = { readBytesPerSec: readCold(directory), imageBytes: allocatedBytes(image) };

  place.title(`${type}: every byte, checked`);
  const now = checksums(directory);
  const wrong = [...manifest].filter(([name, sum]) => now.get(name) !== sum);
  place.say(`${now.size} files read back, ${wrong.length} differ`);
  place.run('agent', 'stop');
  const mb = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(0)} MB`;
  place.say(
    `Sequential read, cold: ${mb(before.readBytesPerSec)}/s before, ${mb(after.readBytesPerSec)}/s after`,
  );
  place.say(`Image on the host: ${mb(before.imageBytes)} before, ${mb(after.imageBytes)} after`);
  if (wrong.length > 0) throw new Error(`these differ: ${wrong.map(([name]) => name).join(', ')}`);
}

function fragmentedFiles(directory: string) {
  return Array.from({ length: FILE_COUNT }, (_, index) => ({
    path: join(directory, `file-${index}`),
    sizeBytes: index % LARGE_EVERY === 0 ? LARGE_BYTES : SMALL_BYTES,
    fragmentCount: index % LARGE_EVERY === 0 ? 256 : 2 + (index % 15),
  }));
}

/** What was written and deleted still takes room in the image. */
function deleteSome(mountPath: string): void {
  const path = join(mountPath, 'deleted');
  writeFileSync(path, randomBytes(DELETED_BYTES), { flush: true });
  rmSync(path);
}

function checksums(directory: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const name of readdirSync(directory).sort()) {
    sums.set(
      name,
      createHash('sha256')
        .update(readFileSync(join(directory, name)))
        .digest('hex'),
    );
  }
  return sums;
}

/** The machine may do other things meanwhile: the fastest of a few says most about the layout. */
function readCold(directory: string): number {
  return Math.max(...Array.from({ length: COLD_READS }, () => readColdOnce(directory)));
}

/** @returns bytes a second, after the pages of these files were dropped. */
function readColdOnce(directory: string): number {
  const paths = readdirSync(directory).map((name) => join(directory, name));
  for (const path of paths) {
    const fd = openSync(path, 'r');
    dropPageCache({ fd, path }, { startBytes: 0, lengthBytes: statSync(path).size });
    closeSync(fd);
  }
  const startedAtMs = performance.now();
  let readBytes = 0;
  for (const path of paths) readBytes += readFileSync(path).length;
  return (readBytes / (performance.now() - startedAtMs)) * 1000;
}

function allocatedBytes(image: MountedImage): number {
  return statSync(image.imagePath).blocks * STAT_BLOCK_BYTES;
}
