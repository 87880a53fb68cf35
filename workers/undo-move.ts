/**
 * ext4: puts the old blocks of a piece back, when the new ones could not be written or do not read
 * back as they should.
 *
 * MOVE_EXT takes what the page cache has. Where that is not good either, the old content is read from
 * the device first: the donor holds the old blocks untouched, but marked unwritten, so that reading
 * the donor itself gives zeros.
 */

import { closeSync, constants, fsyncSync, openSync } from 'node:fs';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { MaintenanceError } from '../src/domain/errors.js';
import { cutAt, fragmentsOf, fragmentsWithin, windowsOf } from '../src/domain/move-plan.js';
import type { DonorPlace, MoveIntent } from '../src/domain/move-tasks.js';
import { type ByteRun, MIB, roundUp } from '../src/domain/units.js';
import { deviceName } from '../src/kernel/device-number.js';
import { openByHandle } from '../src/kernel/file-handle.js';
import { readFully, writeFully } from '../src/kernel/file-io.js';
import { fileMappings, fileStatus, setModifiedTime } from '../src/kernel/file-state.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { fromNodeError } from '../src/kernel/kernel-error.js';
import { moveExtents } from '../src/kernel/move-extents.js';
import { checksumOnDisk, checksumOne, contentRanges, pieceOfIntent } from './move-content.js';
import { Pace } from './move-pace.js';
import { extentBuffer } from './replica-io.js';

const WINDOW_BYTES = 4 * MIB;
const SECTOR_BYTES = 4096;

export interface MovedPiece {
  readonly mount: OpenFile;
  readonly intent: MoveIntent;
  readonly place: DonorPlace;
  readonly donor: OpenFile;
}

/** Pieces of the file that lie in the donor's new blocks now. */
export function movedRanges(file: OpenFile, { intent, place }: MovedPiece): ByteRun[] {
  const piece = pieceOfIntent(intent);
  return fragmentsWithin(fragmentsOf(fileMappings(file, piece)), piece).flatMap((fragment) =>
    place.runs.flatMap((run) => {
      const beginBytes = Math.max(run.startBytes, fragment.physicalBytes);
      const endBytes = Math.min(
        run.startBytes + run.lengthBytes,
        fragment.physicalBytes + fragment.lengthBytes,
      );
      if (endBytes <= beginBytes) return [];
      const startBytes = fragment.startBytes + beginBytes - fragment.physicalBytes;
      return [{ startBytes, lengthBytes: endBytes - beginBytes }];
    }),
  );
}

/**
 * @returns once the piece is back in its old blocks and read back from them.
 * @throws MaintenanceError when it is not; the donor must be kept then.
 */
export function undoMove(moved: MovedPiece): void {
  const { mount, intent } = moved;
  const file = openByHandle(mount, intent.handle, constants.O_RDWR);
  try {
    const ranges = movedRanges(file, moved);
    const before = fileStatus(file).mark;
    const unchanged = before.mtimeNs === intent.mark.mtimeNs;
    if (unchanged && intent.checksum !== null && !cacheIsGood(file, intent)) {
      restoreCache(file, moved, ranges);
    }
    swapBack(file, moved, ranges);
    fsyncSync(file.fd);
    if (!unchanged || intent.checksum === null) return;
    if (checksumOnDisk(mount, intent) === intent.checksum) return;
    throw new MaintenanceError('ERR_CHECKSUM_MISMATCH', `the old blocks of ${file.path} are bad`, {
      nextStep: 'Restore the file from a backup, and check the disk.',
    });
  } catch (cause) {
    throw fromNodeError('undo the move of', cause, file.path);
  } finally {
    file[Symbol.dispose]();
  }
}

function cacheIsGood(file: OpenFile, intent: MoveIntent): boolean {
  try {
    const ranges = contentRanges(file, pieceOfIntent(intent), intent.mark.sizeBytes);
    const options = { pace: new Pace(null), stoppable: false };
    return checksumOne({ file, ranges }, options) === intent.checksum;
  } catch {
    return false;
  }
}

function swapBack(file: OpenFile, { intent, place, donor }: MovedPiece, ranges: ByteRun[]): void {
  const { blockBytes } = fileStatus(file);
  for (const run of ranges.flatMap((range) => windowsOf(range, WINDOW_BYTES))) {
    const donorStartBytes = place.startBytes + run.startBytes - intent.startBytes;
    const doneBytes = moveExtents({ file, donor, run, donorStartBytes, blockBytes });
    if (doneBytes < run.lengthBytes) {
      throw new MaintenanceError('ERR_TARGET_BUSY', `${file.path} is not wholly moved back`);
    }
  }
}

/** Writes into the cache what the old blocks have, once it is sure that they have it all. */
function restoreCache(file: OpenFile, moved: MovedPiece, ranges: readonly ByteRun[]): void {
  const { intent } = moved;
  const device = openDevice(fileStatus(file).deviceNumber);
  try {
    const windows = contentRanges(file, pieceOfIntent(intent), intent.mark.sizeBytes);
    if (checksumOldContent(file, device, moved, { windows, ranges }) !== intent.checksum) {
      throw new MaintenanceError(
        'ERR_CHECKSUM_MISMATCH',
        `neither the new nor the old blocks of ${file.path} have its content`,
        { nextStep: 'Its old blocks are kept in .dynamicfs. Check the disk.' },
      );
    }
    for (const range of cutAt(ranges, intent.mark.sizeBytes)) {
      eachOldChunk(device, moved, range, (chunk, atBytes) => writeFully(file, chunk, atBytes));
    }
    setModifiedTime(file, intent.mark.mtimeNs);
  } finally {
    closeSync(device.fd);
  }
}

function checksumOldContent(
  file: OpenFile,
  device: OpenFile,
  moved: MovedPiece,
  {
    windows,
    ranges,
  }: { readonly windows: readonly ByteRun[]; readonly ranges: readonly ByteRun[] },
): string {
  const hasher = new Blake3Hasher();
  for (const { startBytes, lengthBytes } of windows) {
    hasher.update(Buffer.from(`${startBytes}+${lengthBytes};`));
    const endBytes = startBytes + lengthBytes;
    let atBytes = startBytes;
    while (atBytes < endBytes) {
      const inside = ranges.find((one) => within(atBytes, one));
      const next = ranges.find((one) => one.startBytes > atBytes)?.startBytes ?? endBytes;
      const untilBytes = inside ? inside.startBytes + inside.lengthBytes : next;
      const run = { startBytes: atBytes, lengthBytes: Math.min(untilBytes, endBytes) - atBytes };
      if (inside) eachOldChunk(device, moved, run, (chunk) => hasher.update(chunk));
      else eachChunk(file, run, (chunk) => hasher.update(chunk));
      atBytes += run.lengthBytes;
    }
  }
  return hasher.digestBuffer().toString('hex');
}

function within(atBytes: number, { startBytes, lengthBytes }: ByteRun): boolean {
  return atBytes >= startBytes && atBytes < startBytes + lengthBytes;
}

function eachChunk(file: OpenFile, run: ByteRun, use: (chunk: Buffer) => void): void {
  for (const { startBytes, lengthBytes } of windowsOf(run, WINDOW_BYTES)) {
    const chunk = extentBuffer(WINDOW_BYTES).subarray(0, lengthBytes);
    readFully(file, chunk, startBytes);
    use(chunk);
  }
}

/** Reads a range of the file from where the donor's blocks lie on the device. */
function eachOldChunk(
  device: OpenFile,
  { donor, intent, place }: MovedPiece,
  range: ByteRun,
  use: (chunk: Buffer, atBytes: number) => void,
): void {
  const shiftBytes = place.startBytes - intent.startBytes;
  const inDonor = { startBytes: range.startBytes + shiftBytes, lengthBytes: range.lengthBytes };
  for (const part of fragmentsWithin(fragmentsOf(fileMappings(donor, inDonor)), inDonor)) {
    for (const { startBytes, lengthBytes } of windowsOf(part, WINDOW_BYTES)) {
      const whole = extentBuffer(WINDOW_BYTES).subarray(0, roundUp(lengthBytes, SECTOR_BYTES));
      readFully(device, whole, part.physicalBytes + startBytes - part.startBytes);
      use(whole.subarray(0, lengthBytes), startBytes - shiftBytes);
    }
  }
}

/** Past the cache of the device, which does not know what the file system wrote. */
function openDevice(deviceNumber: number): OpenFile {
  const path = `/dev/block/${deviceName(deviceNumber)}`;
  try {
    return { fd: openSync(path, constants.O_RDONLY | constants.O_DIRECT), path };
  } catch (cause) {
    throw fromNodeError('open device', cause, path);
  }
}
