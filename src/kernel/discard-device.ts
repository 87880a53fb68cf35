/**
 * Gives ranges of a raw device back, and erases them. Each call takes a `DiscardGrant`, which only an
 * exclusive open of a verified disk yields (device-claim.ts).
 */

import { fstatSync } from 'node:fs';
import { constants } from 'node:os';
import { InvariantError } from '../domain/errors.js';
import type { DiscardGrant } from '../domain/tasks.js';
import { type ByteRun, MIB } from '../domain/units.js';
import { kernelAddon } from './addon.js';
import { syncData } from './file-io.js';
import { rangeArguments } from './kernel-call.js';
import { KernelCallError } from './kernel-error.js';

/** One call cannot be interrupted. */
const ZERO_STEP_BYTES = 16 * MIB;

/**
 * Tells the device that a run is unused. Where a layer below does not take it the call succeeds all
 * the same: see whether `discard_max_bytes` is still above 0.
 *
 * @param stepBytesMax of one request, a multiple of the granularity.
 * @returns how many calls it took.
 * @throws KernelCallError ERR_UNSUPPORTED when the device has no discard.
 *
 * Source: blkdiscard(8); block/blk-lib.c, where EOPNOTSUPP of a request becomes 0.
 */
export function discardDevice(grant: DiscardGrant, run: ByteRun, stepBytesMax: number): number {
  requireSameDevice(grant);
  return eachStep(run, stepBytesMax, (step) =>
    check('discard', kernelAddon().discardRange(grant.fd, ...rangeArguments(step)), grant),
  );
}

/**
 * Makes what a run held unreadable: by the device's own secure erase, which reaches the copies that
 * only the device knows, else by zeros, flushed.
 *
 * @returns which of the two it was.
 *
 * Source: linux/fs.h (BLKSECDISCARD, BLKZEROOUT).
 */
export function eraseDevice(grant: DiscardGrant, run: ByteRun): 'secure-discard' | 'zeros' {
  requireSameDevice(grant);
  const errno = kernelAddon().secureDiscardRange(grant.fd, ...rangeArguments(run));
  if (errno === 0) return 'secure-discard';
  if (errno !== constants.errno.EOPNOTSUPP) check('erase', errno, grant);
  eachStep(run, ZERO_STEP_BYTES, (step) =>
    check('write zeros to', kernelAddon().zeroRange(grant.fd, ...rangeArguments(step)), grant),
  );
  syncData(grant);
  return 'zeros';
}

/** Descriptors are numbers that are used again; a bug must not cost somebody a disk. */
function requireSameDevice({ fd, path, deviceNumber }: DiscardGrant): void {
  if (fstatSync(fd).rdev !== deviceNumber) {
    throw new InvariantError(`descriptor ${fd} is not ${path} any more`);
  }
}

function eachStep(run: ByteRun, stepBytesMax: number, act: (step: ByteRun) => void): number {
  let stepCount = 0;
  for (let doneBytes = 0; doneBytes < run.lengthBytes; stepCount += 1) {
    const lengthBytes = Math.min(stepBytesMax, run.lengthBytes - doneBytes);
    act({ startBytes: run.startBytes + doneBytes, lengthBytes });
    doneBytes += lengthBytes;
  }
  return stepCount;
}

function check(call: string, errno: number, { path }: DiscardGrant): void {
  if (errno !== 0) throw new KernelCallError(call, errno, path);
}
