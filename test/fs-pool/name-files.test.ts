/** The paths of files by their handles, on mounts that nobody has looked at yet. */

import { linkSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeScanControl, SCAN_CONTROL } from '../../src/domain/file-scan.js';
import nameFiles from '../../workers/name-files.js';
import { handleOfPath } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { mountOf } from '../support/move-lab.js';
import { writeBytes } from '../support/scan-lab.js';

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('names of files on %s', (fsType) => {
  it('are found by their handles, as they are now', async () => {
    using mount = new LoopMount(fsType);
    mkdirSync(mount.path('deep', 'deeper'), { recursive: true });
    for (const name of ['top', 'deep/deeper/file', 'deep/linked', 'gone', 'deep/old']) {
      writeBytes(mount.path(name), 10);
    }
    const names = ['top', 'deep/deeper/file', 'deep/linked', 'gone', 'deep/old'];
    const handles = names.map((name) => handleOfPath(mount.path(name)));
    linkSync(mount.path('deep/linked'), mount.path('deep/deeper/link'));
    rmSync(mount.path('gone'));
    renameSync(mount.path('deep/old'), mount.path('new'));
    mount.remount();

    const task = { ...mountOf(mount), handles, control: null };
    const reply = await nameFiles(task);
    const paths = reply.ok ? reply.value : [];
    expect(paths).toEqual([
      mount.path('top'),
      mount.path('deep/deeper/file'),
      expect.stringMatching(/\/deep\/(linked|deeper\/link)$/),
      null,
      mount.path('new'),
    ]);

    mount.remount();
    const control = makeScanControl();
    control[SCAN_CONTROL.stop] = 1;
    expect(await nameFiles({ ...task, control })).toEqual({
      ok: true,
      value: handles.map(() => null),
    });
    const wrong = await nameFiles({ ...task, handles: ['', '8', '81zz', 'ff'.repeat(99)] });
    expect(wrong).toEqual({ ok: true, value: [null, null, null, null] });
    const elsewhere = await nameFiles({ ...task, deviceNumber: task.deviceNumber + 1 });
    expect(elsewhere).toMatchObject({ ok: false, error: { code: 'ERR_DISK_UNAVAILABLE' } });
  });
});
