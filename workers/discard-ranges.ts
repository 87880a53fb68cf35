/**
 * Piscina task: give ranges of a backing file back to its file system, and look whether it took them.
 *
 * The call's success only says that it was accepted. Confirmed is what the file's map no longer
 * shows; reclaimed is by how much that map shrank, since a range may have been a hole before.
 */

import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { DiscardOutcome, DiscardTask } from '../src/domain/tasks.js';
import { type ByteRun, MIB } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { mappedBytes } from '../src/kernel/fiemap.js';
import { syncData, writeFully } from '../src/kernel/file-io.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { punchHole } from '../src/kernel/punch-hole.js';
import { discardOnDevice } from './discard-device-ranges.js';
import { Pace } from './move-pace.js';
import { extentBuffer, openReplica } from './replica-io.js';
import { settle } from './settle.js';

export default (task: DiscardTask) => settle(() => discardRanges(task));

const ERASE_CHUNK_BYTES = MIB;

/** @throws MaintenanceError when the disk cannot be opened; else every range has its own outcome. */
export function discardRanges(task: DiscardTask): DiscardOutcome[] {
  if (task.device) return discardOnDevice(task, task.device);
  using disk = openReplica(task.path, 'write', false);
  const pace = new Pace(task.control);
  return task.ranges.map((range) => {
    const outcome = discardRange(disk.file, range, task.secureErase);
    pace.breathe();
    return outcome;
  });
}

function discardRange(file: OpenFile, range: ByteRun, secureErase: boolean): DiscardOutcome {
  try {
    const beforeBytes = mappedOrNull(file, range);
    if (secureErase) eraseRange(file, range);
    crashPoint('discard-erased');
    punchHole(file, range);
    crashPoint('discard-punched');
    const afterBytes = mappedOrNull(file, range);
    crashPoint('discard-confirmed');
    if (beforeBytes === null || afterBytes === null) {
      return { kind: 'discarded', confirmable: false, confirmedBytes: 0, reclaimedBytes: 0 };
    }
    if (afterBytes > 0) {
      const error = notFreed(file, range, afterBytes).toWire();
      return { kind: 'failed', error, isRefused: true };
    }
    return {
      kind: 'discarded',
      confirmable: true,
      confirmedBytes: range.lengthBytes,
      reclaimedBytes: beforeBytes,
    };
  } catch (cause) {
    const error = asMaintenanceError(cause);
    if (error.code === 'ERR_UNSUPPORTED') return { kind: 'unsupported', error: error.toWire() };
    return { kind: 'failed', error: error.toWire(), isRefused: false };
  }
}

/** @returns null where the file system does not tell. */
function mappedOrNull(file: OpenFile, range: ByteRun): number | null {
  try {
    return mappedBytes(file, range);
  } catch (cause) {
    if (cause instanceof MaintenanceError && cause.code === 'ERR_UNSUPPORTED') return null;
    throw cause;
  }
}

function notFreed(file: OpenFile, range: ByteRun, leftBytes: number): MaintenanceError {
  const asked = `${range.lengthBytes} bytes at ${range.startBytes}`;
  return new MaintenanceError(
    'ERR_KERNEL',
    `${file.path} accepted the discard of ${asked} but still holds ${leftBytes} of them`,
    { nextStep: 'The range stays pending and is tried again later.' },
  );
}

/** Zeros over what was there, flushed before the hole is punched; else they might never be written. */
function eraseRange(file: OpenFile, range: ByteRun): void {
  const zeros = extentBuffer(ERASE_CHUNK_BYTES).fill(0);
  const endBytes = range.startBytes + range.lengthBytes;
  for (let at = range.startBytes; at < endBytes; at += zeros.length) {
    writeFully(file, zeros.subarray(0, Math.min(zeros.length, endBytes - at)), at);
  }
  syncData(file);
}
