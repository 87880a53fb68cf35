/**
 * The units: systemd reads them, they are as tight as they claim, and an agent with just the
 * capabilities that they leave can do its work on files that belong to others.
 */

import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/kernel/package-root.js';
import { CliNode, RUN_JS } from '../support/cli-run.js';
import { makeFragmented, sha256 } from '../support/fragmented-files.js';
import { canMount, LOOP_FS_TYPES, LoopMount } from '../support/loop-mounts.js';
import { missing } from '../support/programs.js';
import { tempDirectory } from '../support/temp-directory.js';

const UNITS = join(packageRoot(), 'deploy/systemd');
const AGENT = 'dynamicfs-agent.service';
const NOTIFY = 'dynamicfs-notify@.service';
/** systemd's measure, 0 to 100: what can be had while the agent is root and needs the devices. */
const EXPOSURE_MAX = 40;
const NOBODY = 65_534;
const noAnalyze = missing('systemd-analyze');

function unit(name: string): string {
  return readFileSync(join(UNITS, name), 'utf8');
}

function analyze(args: string[]) {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Both units where systemd finds them, with the program where it is here. */
function installed(change: (text: string) => string = (text) => text): string {
  const directory = tempDirectory('units');
  const program = `${process.execPath} ${RUN_JS}`;
  writeFileSync(
    join(directory, AGENT),
    change(unit(AGENT).replace('/usr/local/bin/dynamicfs', program)),
  );
  writeFileSync(join(directory, NOTIFY), unit(NOTIFY));
  return join(directory, AGENT);
}

describe.skipIf(noAnalyze)(`systemd${noAnalyze}`, () => {
  it('reads the units without a complaint, and would complain', () => {
    const silent = { status: 0, stdout: '', stderr: '' };
    expect(analyze(['verify', installed()])).toEqual(silent);
    expect(analyze(['verify', join(UNITS, NOTIFY)])).toEqual(silent);
    const broken = installed((text) => text.replace('NoNewPrivileges=yes', 'NoNewPrivilege=yes'));
    expect(analyze(['verify', broken]).stderr).toContain('NoNewPrivilege');
  });

  it('finds the agent no more exposed than it has to be', () => {
    const args = ['security', '--offline=true', '--no-pager', `--threshold=${EXPOSURE_MAX}`];
    expect(analyze([...args, installed()])).toMatchObject({ status: 0 });
    const loose = installed((text) => text.replace(/^(Cap|Protect|SystemCall|Restrict).*$/gm, ''));
    expect(analyze([...args, loose]).status).not.toBe(0);
  });
});

const capabilities = (/^CapabilityBoundingSet=(.*)$/m.exec(unit(AGENT))?.[1] ?? '').split(' ');

it('docs/operations.md says what each capability is for', () => {
  const docs = readFileSync(join(packageRoot(), 'docs/operations.md'), 'utf8');
  const explained = [...docs.matchAll(/^\| `(CAP_\w+)` \|/gm)].map(([, name]) => name);
  expect(explained).toEqual(capabilities);
});

describe.skipIf(!canMount).each(LOOP_FS_TYPES)(
  'an agent with these capabilities on %s',
  (fsType) => {
    const node = new CliNode();
    afterEach(() => node.stop());

    it('defragments and trims, also what belongs to others and is closed to everybody', async () => {
      using mount = new LoopMount(fsType);
      const names = Array.from({ length: 4 }, (_, n) => `file-${n}`);
      makeFragmented(mount, names, { sizeBytes: 2 ** 20 });
      mkdirSync(mount.path('private'));
      for (const name of names) {
        renameSync(mount.path(name), mount.path('private', name));
        chmodSync(mount.path('private', name), 0o600);
        chownSync(mount.path('private', name), NOBODY, NOBODY);
      }
      chmodSync(mount.path('private'), 0o700);
      chownSync(mount.path('private'), NOBODY, NOBODY);
      const sums = names.map((name) => sha256(mount.path('private', name)));

      const wanted = (process.env.TRY_CAPS ?? capabilities.join(' ')).split(' ');
      const bounding = wanted.map((name) => `+${name.replace(/^CAP_/, '').toLowerCase()}`);
      const confined = ['--no-new-privs', `--bounding-set=-all,${bounding.join()}`];
      const agent = [process.execPath, RUN_JS, 'agent', 'start'];
      expect(await node.program('setpriv', [...confined, ...agent])).toMatchObject({ code: 0 });

      const flags = ['--pool', mount.mountPath];
      await node.json('init', flags);
      const start = ['--once', '--wait', '--intensity', 'high', '--min-age', '0'];
      const { run } = (await node.json('defrag start', [...flags, ...start])) as { run: object };
      expect(run).toMatchObject({ state: 'completed', failedCount: 0, unverifiedCount: 0 });
      expect((run as { doneCount: number }).doneCount).toBeGreaterThanOrEqual(names.length);
      expect(names.map((name) => sha256(mount.path('private', name)))).toEqual(sums);
      const trimmed = await node.json('trim now', [...flags, '--intensity', 'high']);
      expect(trimmed).toMatchObject({ run: { state: 'completed', failedCount: 0 } });
    });
  },
);
