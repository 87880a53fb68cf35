/** Moves while other programs write, append, truncate, map, rename and delete the same files. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KIB } from '../../src/domain/units.js';
import { makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';
import { finish, prepare, readyMoves, waitForClock } from '../support/move-lab.js';
import { tempDirectory } from '../support/temp-directory.js';

const SIZE_BYTES = 512 * KIB;
const WORK_MS = 2500;
const QUIET = ['quiet-1', 'quiet-2'];
const BUSY = ['writer', 'appender', 'truncater', 'mapper', 'renamer', 'deleter'];

/**
 * Each keeps a copy in its own memory and, told to end, compares the file with it. Python, since
 * Node.js cannot map files.
 */
const WORKER = `
import mmap, os, random, sys, time
kind, path, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = random.Random(kind)
fd = os.open(path, os.O_RDWR)
model = bytearray(os.pread(fd, size, 0))
stop_at = time.time() + float(sys.argv[4])
steps = 0
view = mmap.mmap(fd, size) if kind == 'mapper' else None
while time.time() < stop_at:
    steps += 1
    data = bytes([rng.randrange(256)]) * rng.randrange(1, 9000)
    at = rng.randrange(0, max(1, len(model) - len(data)))
    if kind == 'mapper':
        view[at:at + len(data)] = data; model[at:at + len(data)] = data
    elif kind == 'appender':
        if len(model) < 4 * size: os.pwrite(fd, data, len(model)); model += data
    elif kind == 'truncater':
        if len(model) > size // 2: os.ftruncate(fd, at); del model[at:]
        else: os.pwrite(fd, data, len(model)); model += data
    elif kind == 'renamer':
        os.rename(path, path + '.x'); os.pwrite(fd, data, at); model[at:at + len(data)] = data; os.rename(path + '.x', path)
    elif kind == 'deleter':
        os.close(fd); os.unlink(path); fd = os.open(path, os.O_RDWR | os.O_CREAT); os.pwrite(fd, bytes(model), 0)
    else:
        os.pwrite(fd, data, at); model[at:at + len(data)] = data
    if rng.random() < 0.2: os.fsync(fd)
    time.sleep(rng.random() * 0.01)
if view: view.flush()
os.fsync(fd)
same = os.pread(fd, 8 * size, 0) == bytes(model)
print('same' if same and steps > 3 else 'DIFFERENT after %d steps' % steps)
`;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('moves under load on %s', (fsType: LoopFsType) => {
  it('never change what a program wrote, nor what nobody touched', async () => {
    using mount = new LoopMount(fsType);
    const names = [...QUIET, ...BUSY];
    makeFragmented(mount, names, { sizeBytes: SIZE_BYTES });
    waitForClock();
    const before = QUIET.map((name) => sha256(mount.path(name)));
    const script = join(tempDirectory('worker'), 'worker.py');
    writeFileSync(script, WORKER);
    const workers = BUSY.map((kind) => start(script, kind, mount.path(kind)));

    const endAt = Date.now() + WORK_MS - 500;
    let movedCount = 0;
    const failed: unknown[] = [];
    while (Date.now() < endAt) {
      const outcomes = finish(mount, readyMoves(prepareIgnoringClock(mount, names)));
      failed.push(...outcomes.filter(({ kind }) => kind === 'failed'));
      movedCount += outcomes.filter(({ kind }) => kind === 'moved').length;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const ends = await Promise.all(workers);
    expect(failed).toEqual([]);
    expect(ends).toEqual(BUSY.map(() => 'same'));
    expect(movedCount).toBeGreaterThan(0);
    expect(QUIET.map((name) => sha256(mount.path(name)))).toEqual(before);
    mount.remount();
    expect(QUIET.map((name) => sha256(mount.path(name)))).toEqual(before);
  });
});

/** Files vanish while their handles are asked for. */
function prepareIgnoringClock(mount: LoopMount, names: readonly string[]) {
  return names.flatMap((name) => {
    try {
      return prepare(mount, [name]);
    } catch {
      return [];
    }
  });
}

async function start(script: string, kind: string, path: string): Promise<string> {
  const args = [script, kind, path, String(SIZE_BYTES), String(WORK_MS / 1000)];
  const child: ChildProcess = spawn('python3', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  await once(child, 'close');
  return output.trim();
}
