/** A reclamation of a mounted file system, by command: what a policy says of its tiers is what is done. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QUIET_MS_DEFAULT } from '../../src/domain/fs-runs.js';
import { CliNode } from '../support/cli-run.js';
import { fsNode, makeFiles, sha256Manifest } from '../support/fs-lab.js';
import { canMount, LOOP_FS_TYPES, type LoopFsType, LoopMount } from '../support/loop-mounts.js';

const node = new CliNode();
const mounts = new Map<LoopFsType, LoopMount>();

beforeAll(async () => {
  if (!canMount) return;
  for (const fsType of LOOP_FS_TYPES) {
    const mount = new LoopMount(fsType);
    mounts.set(fsType, mount);
    makeFiles(mount, 12);
  }
  // What was just written is left alone, since it may change again: one wait for all of them.
  await sleep(QUIET_MS_DEFAULT + 1_000);
});
afterAll(async () => {
  await node.stop();
  for (const mount of mounts.values()) mount.remove();
});

describe.skipIf(!canMount).each(LOOP_FS_TYPES)('a mounted %s', (fsType) => {
  it('is analysed, defragmented by tier, trimmed and analysed again, with its contents kept', async () => {
    const mount = mounts.get(fsType);
    if (!mount) throw new Error(`no ${fsType}`);
    const before = sha256Manifest(mount.mountPath);
    const flags = ['--pool', mount.mountPath];
    await node.json('init', flags);
    await node.json('policy set', [...flags, '--policy', 'balanced']);
    const worn = fsNode(await node.json('defrag analyze', flags));

    const { reclamation } = await node.json('reclamation run', [...flags, '--wait']);
    expect(reclamation).toMatchObject({
      state: 'completed',
      trigger: 'manual',
      failedCount: 0,
      helped: true,
      before: { fragmentationRatio: worn.fragmentationRatio },
    });
    expect(reclamation.defragmentedCount).toBeGreaterThanOrEqual(12);
    const { before: then, after } = reclamation;
    expect(after?.fragmentationRatio).toBeLessThan(then.fragmentationRatio ?? 0);
    expect(reclamation.steps.map(({ what, tier, state }) => [what, tier, state])).toEqual([
      ['analyze', null, 'done'],
      // Files that were read or written today are hot; balanced leaves the cold tier out.
      ['defrag', 'hot', 'done'],
      ['defrag', 'warm', 'skipped'],
      ['trim', null, 'done'],
      ['analyze', null, 'done'],
    ]);
    expect(sha256Manifest(mount.mountPath)).toEqual(before);

    const status = await node.json('reclamation status', flags);
    expect(status).toMatchObject({ open: null, statistics: { reclamationCount: 1 } });
    expect(status.recent[0]).toMatchObject({ reclamationId: reclamation.reclamationId });
  });
});
