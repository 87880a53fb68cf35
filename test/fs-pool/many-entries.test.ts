/**
 * Directories of very many entries, half of them names of a few files that lie in pieces: analysed,
 * defragmented by handle whatever their number of names, trimmed.
 *
 * A million on ext4, which makes them in the shortest time, and 20,000 elsewhere.
 * DYNAMICFS_TEST_LONG=1 makes a million everywhere, and walks over them, too.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { scanMount } from '../../workers/scan-file-system.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, run } from '../support/loop-mounts.js';
import { move, waitForClock } from '../support/move-lab.js';
import { comparable, scanTask } from '../support/scan-lab.js';
import { TrimLab } from '../support/trim-lab.js';

let lab: TrimLab;
afterEach(() => lab?.remove());

const IS_LONG = process.env.DYNAMICFS_TEST_LONG === '1';
/** ext4 allows a file 65,000 names. */
const MILLION = { fileCount: 500_000, namesPerFile: 50_000 };
const FEW = { fileCount: 10_000, namesPerFile: 1_000 };
const LINKED = Array.from({ length: 10 }, (_, index) => `linked-${index}`);
/** Of a scan, whatever the number of entries: its buffers, far less than a file's worth of each. */
const SCAN_BYTES_MAX = 16 * MIB;

/** Python, since a call of Node.js for each would take several times as long; two processes side by side. */
const MAKER = `
import os, sys
os.chdir(sys.argv[1])
def fill(directory, count, make):
    os.makedirs(directory)
    os.chdir(directory)
    for number in range(count):
        make(str(number))
    os.chdir('../..')
child = os.fork()
for first in range(0, int(sys.argv[2]) if child else 0, 10000):
    fill('files/%d' % first, 10000, os.mknod)
if child:
    sys.exit(os.waitpid(child, 0)[1] != 0)
for name in sys.argv[4:]:
    fill('names/%s' % name, int(sys.argv[3]) - 1, lambda other: os.link('../../' + name, other))
`;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('very many entries on %s', (fsType) => {
  it('are each counted once, and names are no obstacle to a move', async () => {
    const isMillion = IS_LONG || fsType === 'ext4';
    const { fileCount, namesPerFile } = isMillion ? MILLION : FEW;
    lab = new TrimLab(fsType, {
      sizeBytes: (IS_LONG ? 8192 : 2048) * MIB,
      mkfsArgs: mkfsArgs(fsType, fileCount),
    });
    const { mount } = lab;
    makeFragmented(mount, LINKED, { sizeBytes: 128 * KIB });
    const known = scanMount(scanTask(mount));
    const counts = [String(fileCount), String(namesPerFile)];
    execFileSync('python3', ['-c', MAKER, mount.mountPath, ...counts, ...LINKED]);
    if (fsType === 'ext4') addJournal(lab);
    const before = LINKED.map((name) => sha256(mount.path(name)));

    // By which of its names a file is told is chance.
    const nowMs = Date.now();
    const { result: bulk, heldBytes } = memoryOf(() =>
      scanMount(scanTask(mount, { nameCount: 0, nowMs })),
    );
    expect(bulk).toMatchObject({
      fallbackReason: null,
      fileCount: known.fileCount + fileCount,
      emptyCount: known.emptyCount + fileCount,
      fragmentedCount: known.fragmentedCount,
      hardLinkedCount: LINKED.length,
      failedCount: 0,
      missedPartCount: 0,
    });
    expect(heldBytes).toBeLessThan(SCAN_BYTES_MAX);
    if (!isMillion || IS_LONG) {
      const walk = scanMount(scanTask(mount, { nameCount: 0, nowMs, method: 'walk' }));
      expect(comparable(bulk)).toEqual(comparable(walk));
    }

    waitForClock();
    const moved = { kind: 'moved', verification: 'verified', fragmentsAfter: 1 };
    expect(move(mount, LINKED)).toMatchObject(LINKED.map(() => moved));
    for (const name of LINKED) {
      expect(fragmentCount(mount.path(name))).toBe(1);
      expect(statSync(mount.path(name)).nlink).toBe(namesPerFile);
    }
    expect(await lab.trim()).toMatchObject({ failedCount: 0, refusedCount: 0 });
    mount.remount();
    expect(LINKED.map((name) => sha256(mount.path(name)))).toEqual(before);
    // A name far from the one that was moved leads to the same file.
    const last = (name: string) => mount.path('names', name, String(namesPerFile - 2));
    expect(LINKED.map((name) => sha256(last(name)))).toEqual(before);
  }, 600_000);
});

/** ext4 makes names in less time without checksums, and without a journal, which it gets afterwards. */
function mkfsArgs(fsType: LoopFsType, fileCount: number): string[] {
  return fsType === 'ext4'
    ? ['-b', '4096', '-N', String(fileCount + 20_000), '-O', '^has_journal,^metadata_csum']
    : [];
}

function addJournal({ mount }: TrimLab): void {
  mount.unmount();
  run('tune2fs', ['-O', 'has_journal', mount.devicePath]);
  mount.mount();
}

/** What this process held at most, beyond what it held before. Source: proc(5), clear_refs. */
function memoryOf<T>(act: () => T): { readonly result: T; readonly heldBytes: number } {
  writeFileSync('/proc/self/clear_refs', '5');
  const beforeBytes = statusBytes('VmRSS');
  const result = act();
  return { result, heldBytes: statusBytes('VmHWM') - beforeBytes };
}

function statusBytes(key: string): number {
  const [, kib] =
    new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kib) * KIB;
}
