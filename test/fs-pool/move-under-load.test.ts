/**
 * Moves while other programs write, append, truncate, map, rename and delete the very files that are
 * moved: each has dozens of them in hand, so that there is always one that is fragmented and in use.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FinishOutcome, MoveToFinish, PrepareOutcome } from '../../src/domain/move-tasks.js';
import { KIB, MIB } from '../../src/domain/units.js';
import { problemsOf } from '../support/check-file-system.js';
import { makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { finish, prepare, readyMoves, waitForClock } from '../support/move-lab.js';
import { tempDirectory } from '../support/temp-directory.js';

const SIZE_BYTES = 256 * KIB;
const FILES_PER_PROGRAM = 60;
const PROGRAMS = ['writer', 'appender', 'truncater', 'mapper', 'renamer', 'deleter'];
const BATCH = 24;
/** It goes on until programs came in between often enough, and no longer than this. */
const WORK_MS_MAX = 10_000;
const WORK_MS_MIN = 3_000;
/** On a busy machine there were 50 to 90 in the least time. */
const DISTURBED_MIN = 20;

/**
 * Each waits for a line and then works until its input ends. It keeps a copy of its files in its own
 * memory, and at the end compares them and prints what it wrote. Python, since Node.js cannot map files.
 */
const WORKER = `
import hashlib, mmap, os, random, select, sys, time
kind, root, size, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(kind)
paths = ['%s/%s-%d' % (root, kind, n) for n in range(count)]
fds = [os.open(path, os.O_RDWR) for path in paths]
models = [bytearray(os.pread(fd, size, 0)) for fd in fds]
views = [mmap.mmap(fd, size) for fd in fds] if kind == 'mapper' else None
print('ready', flush=True)
sys.stdin.readline()
while not select.select([sys.stdin], [], [], 0)[0]:
    n = rng.randrange(count); fd = fds[n]; model = models[n]; path = paths[n]
    data = bytes([rng.randrange(256)]) * rng.randrange(1, 9000)
    at = rng.randrange(0, max(1, len(model) - len(data)))
    if kind == 'mapper':
        views[n][at:at + len(data)] = data; model[at:at + len(data)] = data
    elif kind == 'appender':
        if len(model) < 4 * size: os.pwrite(fd, data, len(model)); model += data
    elif kind == 'truncater':
        if len(model) > size // 2: os.ftruncate(fd, at); del model[at:]
        else: os.pwrite(fd, data, len(model)); model += data
    elif kind == 'renamer':
        os.rename(path, path + '.x'); os.pwrite(fd, data, at); model[at:at + len(data)] = data; os.rename(path + '.x', path)
    elif kind == 'deleter':
        os.close(fd); os.unlink(path); fd = fds[n] = os.open(path, os.O_RDWR | os.O_CREAT); os.pwrite(fd, bytes(model), 0)
    else:
        os.pwrite(fd, data, at); model[at:at + len(data)] = data
    if rng.random() < 0.2: os.fsync(fd)
    time.sleep(rng.random() * 0.004)
for n in range(count):
    if views: views[n].flush()
    os.fsync(fds[n])
    if os.pread(fds[n], 8 * size, 0) != bytes(models[n]): print('DIFFERENT', paths[n])
    print('WROTE', paths[n], hashlib.sha256(bytes(models[n])).hexdigest())
`;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('moves under load on %s', (fsType) => {
  it('move files that are in use, and never change what a program wrote', async () => {
    using mount = new LoopMount(fsType, { sizeBytes: 1024 * MIB });
    const quiet = namesOf('quiet', 20);
    const busy = PROGRAMS.flatMap((kind) => namesOf(kind, FILES_PER_PROGRAM));
    const names = [...busy, ...quiet].sort((a, b) => numberOf(a) - numberOf(b));
    makeFragmented(mount, names, { sizeBytes: SIZE_BYTES });
    waitForClock();
    const before = sums(mount, quiet);
    const programs = await startPrograms(mount);

    let tally: Tally;
    let lines: string[] = [];
    try {
      tally = await moveWhileTheyWork(mount, names);
    } finally {
      lines = (await Promise.all(programs.map((program) => program.end()))).flat();
    }
    expect(lines.filter((line) => line.startsWith('DIFFERENT'))).toEqual([]);
    const wrote = lines.flatMap((line) => (line.startsWith('WROTE ') ? [line.split(' ')] : []));
    expect(wrote).toHaveLength(busy.length);
    expect(tally.failed).toEqual([]);
    expect([...tally.kindsInUse].sort()).toEqual([...PROGRAMS].sort());
    expect(tally.disturbed).toBeGreaterThanOrEqual(DISTURBED_MIN);
    // What the programs saw was in memory; this is what the disk has.
    mount.remount();
    for (const [, path = '', sum] of wrote) expect([path, sha256(path)]).toEqual([path, sum]);
    expect(sums(mount, quiet)).toEqual(before);
    mount.unmount();
    expect(problemsOf(fsType, mount.devicePath)).toBeNull();
    mount.mount();
  });
});

interface Tally {
  readonly failed: unknown[];
  /** Programs of which a file was moved, or would have been if it had not come in between. */
  readonly kindsInUse: Set<string>;
  /** Moves that a program came in between of, and that say so. */
  disturbed: number;
}

function hasSeenEnough({ kindsInUse, disturbed }: Tally): boolean {
  return kindsInUse.size === PROGRAMS.length && disturbed >= DISTURBED_MIN;
}

async function moveWhileTheyWork(mount: LoopMount, names: readonly string[]): Promise<Tally> {
  const tally: Tally = { failed: [], kindsInUse: new Set(), disturbed: 0 };
  const left = [...names];
  const startedAt = Date.now();
  const mayGoOn = () => Date.now() - startedAt < (hasSeenEnough(tally) ? WORK_MS_MIN : WORK_MS_MAX);
  while (mayGoOn() && left.length > 0) {
    const ready: { name: string; move: MoveToFinish }[] = [];
    for (const name of left.splice(0, BATCH)) {
      const outcome = prepareIfThere(mount, name);
      const [move] = outcome ? readyMoves([outcome]) : [];
      if (move) ready.push({ name, move });
      if (outcome?.kind === 'failed') tally.failed.push({ name, outcome });
      // The others are tried again, when their turn comes.
      const isOver = outcome?.kind === 'skipped' && outcome.reason === 'contiguous';
      if (!isOver) left.push(name);
    }
    const moves = ready.map(({ move }) => move);
    for (const [index, outcome] of finish(mount, moves).entries()) {
      count(tally, ready[index]?.name ?? '', outcome);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return tally;
}

function count(tally: Tally, name: string, outcome: FinishOutcome): void {
  if (outcome.kind === 'failed') tally.failed.push({ name, outcome });
  const isDisturbed =
    outcome.kind === 'moved'
      ? outcome.verification === 'unverified-changed'
      : outcome.kind === 'skipped' && /^(changed|vanished)$/.test(outcome.reason);
  if (isDisturbed) tally.disturbed += 1;
  const kind = name.replace(/-.*/, '');
  if (kind !== 'quiet' && (outcome.kind === 'moved' || isDisturbed)) tally.kindsInUse.add(kind);
}

/** Files vanish while their handles are asked for. */
function prepareIfThere(mount: LoopMount, name: string): PrepareOutcome | null {
  try {
    return prepare(mount, [name])[0] ?? null;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw cause;
  }
}

/** All of them are at work when it returns; `end` tells one to stop, and what it printed. */
async function startPrograms(mount: LoopMount): Promise<{ end(): Promise<string[]> }[]> {
  const script = join(tempDirectory('worker'), 'worker.py');
  writeFileSync(script, WORKER);
  const programs = await Promise.all(
    PROGRAMS.map(async (kind) => {
      const args = [script, kind, mount.mountPath, String(SIZE_BYTES), String(FILES_PER_PROGRAM)];
      const child = spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const closed = once(child, 'close');
      let output = '';
      child.stdout.on('data', (data) => {
        output += data;
      });
      await Promise.race([once(child.stdout, 'data'), closed]);
      return {
        begin: () => child.stdin.write('go\n'),
        async end() {
          child.stdin.end();
          await closed;
          return output.split('\n');
        },
      };
    }),
  );
  for (const { begin } of programs) begin();
  return programs;
}

function namesOf(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${kind}-${n}`);
}

function numberOf(name: string): number {
  return Number(name.replace(/.*-/, ''));
}

function sums(mount: LoopMount, names: readonly string[]): string[] {
  return names.map((name) => sha256(mount.path(name)));
}
