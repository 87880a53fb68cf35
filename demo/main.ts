/**
 * `npm run demo`: the main job from start to end, on a real pool in a temporary directory.
 *
 * Real files of this machine are stored, deleted and stored again until the pool is fragmented. Then
 * the same commands that a user would type analyse, defragment through the queue, and trim it. Last,
 * every object is read back and compared with the file that it came from. Nothing is left behind.
 *
 * `--filesystem`, or `--filesystem=xfs`, shows the same on mounted file systems: see mounted.ts.
 */

import { ExtentPool } from '../src/index.js';
import { churnUntilFragmented } from './churn.js';
import { DemoPlace } from './demo-place.js';
import { measure, type Snapshot, verifyObjects } from './measure.js';
import { demoOnMounts, wantedTypes } from './mounted.js';
import { collectFiles } from './source-files.js';

const DISK_COUNT = 3;
const DISK_BYTES_MAX = 1024 ** 3;
const SOURCES = ['/usr/lib', '/usr/share'];

async function main(): Promise<void> {
  using place = new DemoPlace();
  const diskBytes = place.affordableDiskBytes(DISK_COUNT, DISK_BYTES_MAX);
  const files = collectFiles(SOURCES);
  place.say(
    `Working in ${place.root}; ${files.length} files of ${SOURCES.join(' and ')} to draw on`,
  );

  place.title('1. A pool of two replicas on three disks');
  place.run('init', '--replicas', '2');
  for (const disk of place.disks(DISK_COUNT)) {
    place.run('disk', 'add', '--disk', disk, '--capacity', String(diskBytes));
  }

  place.title('2. Real use: store, delete, store again, until it is fragmented');
  const manifest = await withPool(place, (pool) =>
    churnUntilFragmented(pool, files, (line) => place.say(line)),
  );
  place.run('defrag', 'analyze', '--map');
  const before = await withPool(place, measure);

  place.title('3. Defragment, through the queue and the agent');
  place.run('defrag', 'start', '--intensity', 'high', '--threads', '2', '--once', '--wait');
  place.run('defrag', 'status');
  place.run('defrag', 'analyze', '--map');

  place.title('4. Give the freed space back');
  place.run('trim', 'now', '--dry-run');
  place.run('trim', 'now');
  place.run('trim', 'status');
  const after = await withPool(place, measure);

  place.title('5. Every byte, checked');
  place.run('status', '--audit');
  const verified = await withPool(place, (pool) => verifyObjects(pool, manifest));
  place.say(
    `${verified.count} objects read back, ${verified.wrong.length} differ from the original`,
  );
  place.run('agent', 'stop');

  place.title('Before and after');
  place.say(comparison(before, after));
  if (verified.wrong.length > 0) throw new Error(`these differ: ${verified.wrong.join(', ')}`);
  if (after.fragmentationRatio >= before.fragmentationRatio) throw new Error('nothing got better');
}

async function withPool<T>(
  place: DemoPlace,
  body: (pool: ExtentPool) => Promise<T> | T,
): Promise<T> {
  const pool = ExtentPool.open(place.poolPath);
  try {
    return await body(pool);
  } finally {
    await pool.close();
  }
}

function comparison(before: Snapshot, after: Snapshot): string {
  const mb = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(0)} MB`;
  const rows = [
    ['', 'before', 'after'],
    [
      'Fragmentation ratio',
      `${(before.fragmentationRatio * 100).toFixed(1)} %`,
      `${(after.fragmentationRatio * 100).toFixed(1)} %`,
    ],
    [
      'Fragments per extent',
      before.fragmentsPerExtent.toFixed(2),
      after.fragmentsPerExtent.toFixed(2),
    ],
    ['Sequential read, cold', `${mb(before.readBytesPerSec)}/s`, `${mb(after.readBytesPerSec)}/s`],
    ['Host bytes used (du)', mb(before.hostBytes), mb(after.hostBytes)],
  ];
  return rows
    .map(([name, a, b]) => `  ${name?.padEnd(24)}${a?.padStart(12)}${b?.padStart(12)}`)
    .join('\n');
}

try {
  const types = wantedTypes(process.argv.slice(2));
  if (types.length > 0) await demoOnMounts(types);
  else await main();
} catch (cause) {
  process.stderr.write(`demo failed: ${cause instanceof Error ? cause.message : String(cause)}\n`);
  process.exitCode = 1;
}
