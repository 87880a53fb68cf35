/** One file system as two pools: neither takes what the other holds for a leftover. */

import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { settleIntents } from '../../workers/settle-intents.js';
import { canMount, LoopMount } from '../support/loop-mounts.js';

it.skipIf(!canMount)('deletes donors of its own groups only', () => {
  using mount = new LoopMount('ext4');
  const directory = mount.path('.dynamicfs');
  mkdirSync(directory, { mode: 0o700 });
  const names = ['a-1-0', 'a-2', 'b-1-0', 'new-a-3', 'new-b-2'];
  for (const name of names) writeFileSync(join(directory, name), 'old blocks', { mode: 0o600 });
  const { mountPath, fsType } = mount;
  const deviceNumber = statSync(mountPath).dev;
  const task = { mountPath, fsType, deviceNumber, intents: [], groupPrefix: 'a' };
  expect(settleIntents(task)).toEqual({ outcomes: [], deletedDonorCount: 3 });
  expect(readdirSync(directory).sort()).toEqual(['b-1-0', 'new-b-2']);
});
