/**
 * Raw devices by the command line: commands work beside the agent, which holds the device, and the
 * agent of another state directory, or another pool, does not get it.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { MIB } from '../../src/domain/units.js';
import { CliNode, ofExtents } from '../support/cli-run.js';
import { LoopDevice } from '../support/loop-device.js';
import { canMount } from '../support/loop-mounts.js';
import { content } from '../support/pool-fixture.js';

const node = new CliNode();
const stranger = new CliNode();
const devices: LoopDevice[] = [];

afterAll(async () => {
  await Promise.all([node.stop(), stranger.stop()]);
  for (const device of devices) device[Symbol.dispose]();
});

function newDevice(): string {
  const device = new LoopDevice();
  devices.push(device);
  return device.path;
}

it.skipIf(!canMount)('devices are added, used beside the agent, and kept from others', async () => {
  const [first, second] = [newDevice(), newDevice()];
  const pool = join(node.directory, 'pool');
  await node.json('init', ['--pool', pool, '--device', first]);
  const bytes = content('cli', 8 * MIB);
  const file = join(node.directory, 'file');
  writeFileSync(file, bytes);
  await node.text('put', file, '--pool', pool);
  await node.text('rm', 'file', '--pool', pool);

  // The agent holds the device from here on; what is pending is discarded and confirmed.
  expect(await node.json('trim now', ['--pool', pool])).toMatchObject({
    run: { state: 'completed', doneBytes: 8 * MIB, confirmedBytes: 8 * MIB },
  });
  await node.text('put', file, '--pool', pool);
  const added = await node.json('disk add', ['--pool', pool, '--disk', second, '--device']);
  expect(added.disk).toMatchObject({ kind: 'device', path: second, condition: 'online' });

  const taken = ['init', '--pool', join(stranger.directory, 'pool'), '--device', first, '--force'];
  expect(await stranger.failure(taken)).toMatchObject({ code: 'ERR_DEVICE_HELD', exitCode: 27 });
  await node.text('agent', 'stop');
  expect(await stranger.failure(taken.slice(0, -1))).toMatchObject({
    code: 'ERR_DEVICE_NOT_EMPTY',
    exitCode: 28,
    message: expect.stringContaining('of dynamicfs pool'),
  });

  const copy = join(node.directory, 'copy');
  await node.text('get', 'file', copy, '--pool', pool);
  expect(readFileSync(copy).equals(bytes)).toBe(true);
  const list = ofExtents(await node.json('disk list', ['--pool', pool]));
  expect(list.disks.map(({ kind, condition }) => ({ kind, condition }))).toEqual([
    { kind: 'device', condition: 'online' },
    { kind: 'device', condition: 'online' },
  ]);
  await node.text('status', '--audit', '--pool', pool);
});

it('a path that is no device is refused where a device was named', async () => {
  const pool = join(node.directory, 'other');
  expect(await node.failure(['init', '--pool', pool, '--device', pool])).toMatchObject({
    code: 'ERR_USAGE',
    message: `${pool} is no block device`,
  });
});
