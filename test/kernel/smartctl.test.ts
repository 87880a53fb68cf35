/** smartctl as a program: what it prints is read whatever its exit status, and without it nothing fails. */

import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { readDrive } from '../../src/kernel/smartctl.js';
import { SATA } from '../support/smartctl-outputs.js';
import { tempDirectory } from '../support/temp-directory.js';

const path = process.env.PATH;
afterEach(() => {
  process.env.PATH = path;
});

/** A program of that name that prints what a drive once said. */
function installSmartctl(script: string): void {
  const directory = tempDirectory('smartctl');
  const program = join(directory, 'smartctl');
  writeFileSync(program, `#!/bin/sh\n${script}\n`);
  chmodSync(program, 0o755);
  process.env.PATH = `${directory}:${path}`;
}

it('reads what it prints, although bits of its exit status tell of old errors', async () => {
  installSmartctl(`cat <<'END'\n${JSON.stringify(SATA)}\nEND\nexit 64`);
  expect(await readDrive('/dev/sda')).toMatchObject({ kind: 'read', facts: { wearRatio: 0.06 } });
});

it('says so when it prints nothing, or is not there', async () => {
  installSmartctl('exit 2');
  expect(await readDrive('/dev/sda')).toMatchObject({
    reason: expect.stringContaining('smartctl failed'),
  });
  process.env.PATH = tempDirectory('empty');
  expect(await readDrive('/dev/sda')).toEqual({
    kind: 'unknown',
    reason: 'smartctl is not installed',
  });
});
