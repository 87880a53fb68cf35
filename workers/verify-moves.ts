/** Compares what a group moved with what it was: before the swap on XFS, after the move elsewhere. */

import { closeSync } from 'node:fs';
import { asMaintenanceError, InvariantError, MaintenanceError } from '../src/domain/errors.js';
import { fileStatus } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { dropPageCache } from '../src/kernel/page-cache.js';
import { finishWriteBack } from '../src/kernel/write-back.js';
import { openAllFromDisk, openReader } from './content-reader.js';
import {
  type ContentSource,
  checksumAll,
  contentOnDisk,
  contentRanges,
  sameMark,
} from './move-content.js';
import type { Pace } from './move-pace.js';
import type { OpenDonors } from './move-piece.js';
import { isTouched, type Moving } from './moving.js';

export interface Verifier {
  readonly mount: OpenFile;
  readonly donors: OpenDonors;
  readonly pace: Pace;
}

interface Check {
  readonly one: Moving;
  readonly source: ContentSource;
  readonly close: () => void;
}

/**
 * Reads back from the disk the donors that are to be swapped in. An error goes to each file, whose
 * blocks were not touched yet.
 *
 * @throws Stopped between two batches.
 */
export function checkDonors({ donors, pace }: Verifier, movings: readonly Moving[]): void {
  const checks = openChecks(movings, ({ move }) => {
    if (!move.intent.donor) throw new InvariantError('a donor to check that is not there');
    const donor = donors.open(move.intent.donor.name);
    // Until it is written, XFS lists what was copied as unwritten.
    finishWriteBack(donor);
    const { sizeBytes } = fileStatus(donor).mark;
    const whole = { startBytes: 0, lengthBytes: Math.max(sizeBytes, 1) };
    const { file, direct } = openReader(donor);
    // A swap wants no page of either cached; FIDEDUPERANGE compares what is.
    if (!direct || move.intent.method !== 'share-range') dropPageCache(donor, whole);
    const ranges = contentRanges(donor, whole, sizeBytes);
    const source = { file, ranges, shiftBytes: move.intent.startBytes };
    return { source, close: () => closeSync(file.fd) };
  });
  compareAll(checks, { pace, stoppable: true }, (one, found) => {
    if (found === one.move.intent.checksum) return;
    one.error =
      found instanceof MaintenanceError
        ? found
        : mismatch(`the donor of ${one.file?.path} does not read back as it was written`);
  });
}

/**
 * Reads back from the disk what was moved. Where somebody wrote meanwhile there is nothing to
 * compare; else a difference is a fault.
 */
export function verifyMoved({ mount, pace }: Verifier, movings: readonly Moving[]): void {
  const unchanged = movings.filter((one) => {
    const isSame = !isChanged(one);
    if (!isSame) one.verification = 'unverified-changed';
    return isSame;
  });
  const handles = unchanged.map(({ move }) => move.intent.handle);
  const readers = openAllFromDisk(mount, handles).values();
  const checks = openChecks(unchanged, ({ move, records }) => {
    const reader = readers.next().value ?? new InvariantError('a file that nobody opened');
    if (reader instanceof MaintenanceError) throw reader;
    const close = () => reader[Symbol.dispose]();
    try {
      return { source: contentOnDisk(reader, move.intent, records), close };
    } catch (cause) {
      close();
      throw cause;
    }
  });
  compareAll(checks, { pace, stoppable: false }, (one, found) => {
    if (found === one.move.intent.checksum) one.verification = 'verified';
    else if (isChanged(one)) one.verification = 'unverified-changed';
    else if (found instanceof MaintenanceError) one.fault = found;
    else one.fault = mismatch(`${one.file?.path} does not read back as it was before the move`);
  });
}

function openChecks(
  movings: readonly Moving[],
  open: (one: Moving) => Omit<Check, 'one'>,
): Check[] {
  const checks: Check[] = [];
  for (const one of movings) {
    try {
      checks.push({ one, ...open(one) });
    } catch (cause) {
      if (isTouched(one)) one.fault = asMaintenanceError(cause);
      else one.error = asMaintenanceError(cause);
    }
  }
  return checks;
}

function compareAll(
  checks: readonly Check[],
  options: Parameters<typeof checksumAll>[1],
  use: (one: Moving, found: string | MaintenanceError) => void,
): void {
  try {
    const sources = checks.map(({ source }) => source);
    for (const [index, found] of checksumAll(sources, options).entries()) {
      const check = checks[index];
      if (check) use(check.one, found);
    }
  } finally {
    for (const { close } of checks) close();
  }
}

function isChanged({ file, move }: Moving): boolean {
  return file === null || !sameMark(fileStatus(file).mark, move.intent.mark);
}

function mismatch(what: string): MaintenanceError {
  return new MaintenanceError('ERR_CHECKSUM_MISMATCH', what, {
    nextStep: 'Check the disk: it took the data and gave back something else.',
  });
}
