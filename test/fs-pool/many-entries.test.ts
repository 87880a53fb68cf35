/**
 * Directories of very many entries, half of them names of a few files that lie in pieces: analysed,
 * defragmented by handle whatever their number of names, trimmed.
 *
 * DYNAMICFS_TEST_LONG=1 makes a million entries instead of 20,000.
 */

import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { KIB, MIB } from '../../src/domain/units.js';
import { scanMount } from '../../workers/scan-file-system.js';
import { fragmentCount, makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES } from '../support/loop-mounts.js';
import { move, waitForClock } from '../support/move-lab.js';
import { comparable, scanBoth, scanTask } from '../support/scan-lab.js';
import { TrimLab } from '../support/trim-lab.js';

let lab: TrimLab;
afterEach(() => lab?.remove());

const IS_LONG = process.env.DYNAMICFS_TEST_LONG === '1';
const FILE_COUNT = IS_LONG ? 500_000 : 10_000;
/** ext4 allows a file 65,000 names. */
const NAMES_PER_FILE = IS_LONG ? 50_000 : 1_000;
const LINKED = Array.from({ length: 10 }, (_, index) => `linked-${index}`);

/** Python, since a call of Node.js for each would take several times as long. */
const MAKER = `
import os, sys
os.chdir(sys.argv[1])
os.mkdir('files')
os.mkdir('names')
for number in range(int(sys.argv[2])):
    os.close(os.open('files/%d' % number, os.O_CREAT | os.O_WRONLY))
for name in sys.argv[4:]:
    for number in range(int(sys.argv[3]) - 1):
        os.link(name, 'names/%s-%d' % (name, number))
`;

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('very many entries on %s', (fsType) => {
  it('are each counted once, and names are no obstacle to a move', async () => {
    lab = new TrimLab(fsType, {
      sizeBytes: (IS_LONG ? 8192 : 1024) * MIB,
      ...(fsType === 'ext4' ? { mkfsArgs: ['-b', '4096', '-N', String(FILE_COUNT * 2)] } : {}),
    });
    const { mount } = lab;
    makeFragmented(mount, LINKED, { sizeBytes: 128 * KIB });
    const { fileCount } = scanMount(scanTask(mount));
    const counts = [String(FILE_COUNT), String(NAMES_PER_FILE)];
    execFileSync('python3', ['-c', MAKER, mount.mountPath, ...counts, ...LINKED]);
    const before = LINKED.map((name) => sha256(mount.path(name)));

    // By which of its names a file is told is chance.
    const [bulk, walk] = scanBoth(mount, { nameCount: 0 });
    expect(bulk).toMatchObject({
      fallbackReason: null,
      fileCount: fileCount + FILE_COUNT,
      hardLinkedCount: LINKED.length,
    });
    expect(comparable(bulk)).toEqual(comparable(walk));

    waitForClock();
    const moved = { kind: 'moved', verification: 'verified', fragmentsAfter: 1 };
    expect(move(mount, LINKED)).toMatchObject(LINKED.map(() => moved));
    for (const name of LINKED) {
      expect(fragmentCount(mount.path(name))).toBe(1);
      expect(statSync(mount.path(name)).nlink).toBe(NAMES_PER_FILE);
    }
    expect(await lab.trim()).toMatchObject({ failedCount: 0, refusedCount: 0 });
    mount.remount();
    expect(LINKED.map((name) => sha256(mount.path(name)))).toEqual(before);
  }, 600_000);
});
