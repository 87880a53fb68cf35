/** What the wrappers of kernel calls have in common: an open file and a range of its bytes. */

import { InvariantError } from '../domain/errors.js';
import type { ByteRun } from '../domain/units.js';
import type { BoundedIo } from './bounded-io.js';

/** An open descriptor and the path it was opened by, which errors name. */
export interface OpenFile {
  readonly fd: number;
  readonly path: string;
  /** Makes the calls of `file-io.ts` that would block, for as long as they may take. */
  readonly io?: BoundedIo;
}

/**
 * Converts a run to the 64-bit arguments of the addon.
 *
 * @throws InvariantError when the run is empty, or no range of whole bytes.
 */
export function rangeArguments(run: ByteRun): readonly [startBytes: bigint, lengthBytes: bigint] {
  const { startBytes, lengthBytes } = run;
  const endBytes = startBytes + lengthBytes;
  if (startBytes < 0 || lengthBytes <= 0 || ![startBytes, endBytes].every(Number.isSafeInteger)) {
    throw new InvariantError(`not a range of bytes: ${startBytes} + ${lengthBytes}`);
  }
  return [BigInt(startBytes), BigInt(lengthBytes)];
}
