/**
 * Piscina task: finish what a crash or an error left open, before anything else is moved.
 *
 * A move is atomic in the kernel's journal, so after a crash each file is whole and only its donor
 * is left. What has to be restored are files whose new blocks the disk did not take. Run it while no
 * group of this mount is under way: donors that no intent names are removed.
 */

import { constants, fsyncSync } from 'node:fs';
import { basename } from 'node:path';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import { skipReasonOf } from '../src/domain/move-plan.js';
import type {
  MoveIntent,
  SettleIntentsReply,
  SettleIntentsTask,
  SettleOutcome,
} from '../src/domain/move-tasks.js';
import { donorNames, openDonorDirectory, openMount } from '../src/kernel/donor-directory.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { fileStatus } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { syncFileSystem } from '../src/kernel/sync-file-system.js';
import { checksumOnDisk, sameMark } from './move-content.js';
import { OpenDonors } from './move-piece.js';
import { settle } from './settle.js';
import { shareBack } from './share-back.js';
import { undoMove } from './undo-move.js';

export default (task: SettleIntentsTask) => settle(() => settleIntents(task));

/** @throws MaintenanceError when the mount is not there, or cannot be flushed. */
export function settleIntents(task: SettleIntentsTask): SettleIntentsReply {
  using mount = openMount(task);
  using directory = openDonorDirectory(mount, false);
  using donors = new OpenDonors(directory);
  if (task.intents.length > 0) syncFileSystem(mount);
  const outcomes = task.intents.map((intent): SettleOutcome => {
    try {
      return settleOne(mount, donors, intent);
    } catch (cause) {
      const error = asMaintenanceError(cause);
      if (skipReasonOf(error) === 'vanished') return { kind: 'vanished' };
      return { kind: 'failed', error: error.toWire() };
    }
  });

  const kept = new Set(
    task.intents.flatMap(({ donor }, index) =>
      donor && outcomes[index]?.kind === 'failed' ? [donor.name] : [],
    ),
  );
  const names = directory ? donorNames(directory) : [];
  const leftOver = names.filter((name) => !kept.has(name) && isOfGroup(name, task.groupPrefix));
  donors.remove(leftOver);
  return { outcomes, deletedDonorCount: leftOver.length };
}

/** One that was being made has `new-` before the name of its group. */
function isOfGroup(donorName: string, groupPrefix = ''): boolean {
  return basename(donorName).replace(/^new-/, '').startsWith(groupPrefix);
}

function settleOne(mount: OpenFile, donors: OpenDonors, intent: MoveIntent): SettleOutcome {
  {
    using file = openByHandle(mount, intent.handle, constants.O_RDONLY);
    fsyncSync(file.fd);
    if (intent.checksum === null || isIntact(mount, intent)) return { kind: 'intact' };
    if (!sameMark(fileStatus(file).mark, intent.mark)) return { kind: 'changed' };
  }
  const place = intent.donor;
  if (place && intent.method === 'move-extents') {
    undoMove({ mount, intent, place, donor: donors.open(place.name) });
    return { kind: 'restored' };
  }
  if (place && intent.method === 'defragment-range') {
    shareBack({ mount, intent, place, donor: donors.open(place.name) });
    return { kind: 'restored' };
  }
  throw new MaintenanceError(
    'ERR_CHECKSUM_MISMATCH',
    `file ${intent.handle} of ${mount.path} is not as it was before its move`,
    { nextStep: 'Restore the file from a backup, and check the disk.' },
  );
}

/** A disk that cannot read its new blocks is one more reason to go back to the old ones. */
function isIntact(mount: OpenFile, intent: MoveIntent): boolean {
  try {
    return checksumOnDisk(mount, intent) === intent.checksum;
  } catch (cause) {
    const error = asMaintenanceError(cause);
    if (error.details.errnoName === 'EIO' || error.code === 'ERR_MAP_CHANGED') return false;
    throw error;
  }
}
