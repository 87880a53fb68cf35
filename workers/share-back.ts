/** Btrfs: gives a file its old blocks back, which the donor shares. */

import { constants, fsyncSync } from 'node:fs';
import { MaintenanceError } from '../src/domain/errors.js';
import { cloneRange } from '../src/kernel/clone-range.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { leaseFile } from '../src/kernel/file-lease.js';
import { fileStatus, setModifiedTime } from '../src/kernel/file-state.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { checksumOnDisk, sameMark } from './move-content.js';
import type { MovedPiece } from './undo-move.js';

/**
 * Only while nobody else has the file open: what is shared back replaces what was written since.
 * The file keeps its mtime and gets a new ctime.
 *
 * @throws MaintenanceError when somebody has it open, or it was changed; the donor must be kept then.
 */
export function shareBack({ mount, intent, place, donor }: MovedPiece): void {
  const file = openByHandle(mount, intent.handle, constants.O_RDWR);
  try {
    using _lease = leaseFile(file);
    const { mark } = fileStatus(file);
    if (!sameMark(mark, intent.mark)) {
      throw new MaintenanceError('ERR_MAP_CHANGED', `${file.path} was written to meanwhile`);
    }
    const lengthBytes = Math.min(intent.lengthBytes, mark.sizeBytes - intent.startBytes);
    cloneRange(file, intent.startBytes, donor, { startBytes: place.startBytes, lengthBytes });
    setModifiedTime(file, mark.mtimeNs);
    fsyncSync(file.fd);
  } catch (cause) {
    throw fromNodeError('share back', cause, file.path);
  } finally {
    file[Symbol.dispose]();
  }
  if (intent.checksum === null || checksumOnDisk(mount, intent) === intent.checksum) return;
  throw new MaintenanceError('ERR_CHECKSUM_MISMATCH', `the old blocks of ${file.path} are bad`, {
    nextStep: 'Restore the file from a backup, and check the disk.',
  });
}
