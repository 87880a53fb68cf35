/**
 * Reads a large replica of a raw device past the page cache, into memory for the whole of it.
 *
 * Through the cache a processor copies every byte and gives back a page for each that it fills: that
 * took longer than to read and hash it. A file system's own files stay in the cache, where `cp` and
 * `cat` of the same machine look for them, too.
 */

import { fstatSync } from 'node:fs';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { asMaintenanceError } from '../src/domain/errors.js';
import { WRONG_CHECKSUM } from '../src/domain/repairs.js';
import type { ReadExtent, ReplicaLocation } from '../src/domain/tasks.js';
import { MIB, totalBytes } from '../src/domain/units.js';
import type { OpenFile } from '../src/kernel/kernel-call.js';
import { TransferBatch, type TransferRequest } from '../src/kernel/transfer-batch.js';
import type { ReadTarget } from './read-target.js';
import { checkRead, type DiskFiles, requestsOf } from './replica-io.js';

/** From this on, as extents are written past it. */
const DIRECT_BYTES_MIN = MIB;
/** One is hashed while the disk brings the next ones. */
const PIECE_BYTES = MIB;

/** @returns the file to read it from; null when it is read through the cache. */
export function filePastCache({ path, runs }: ReplicaLocation, disks: DiskFiles): OpenFile | null {
  if (totalBytes(runs) < DIRECT_BYTES_MIN) return null;
  try {
    const { file, direct } = disks.open(path, 'read', true);
    return direct && fstatSync(file.fd).isBlockDevice() ? file : null;
  } catch {
    // Who reads it through the cache says what is wrong.
    return null;
  }
}

/** Under way; `settle` must be called before the memory is used for something else. */
export class ReadPastCache {
  readonly #requests: readonly TransferRequest[];
  readonly #batch: TransferBatch;

  /** Begins. @param whole as large as the runs, at a page. */
  constructor(file: OpenFile, replica: ReplicaLocation, whole: Buffer) {
    this.#requests = requestsOf(file, replica, whole, PIECE_BYTES);
    this.#batch = TransferBatch.read(this.#requests, whole);
  }

  /**
   * Brings the content to its target while it is hashed.
   *
   * @returns why the replica is bad, or null.
   */
  verify({ sizeBytes, checksum }: ReadExtent, target: ReadTarget): string | null {
    const hasher = new Blake3Hasher();
    for (const [index, request] of this.#requests.entries()) {
      const { bufferBytes, lengthBytes } = request;
      try {
        checkRead(request, this.#batch.wait(index));
      } catch (cause) {
        return asMaintenanceError(cause).message;
      }
      // Blocks are read whole; what lies behind the content is not part of it.
      const endBytes = Math.min(bufferBytes + lengthBytes, sizeBytes);
      const content = this.#batch.buffer.subarray(bufferBytes, endBytes);
      hasher.update(content);
      target.take(content, bufferBytes);
    }
    return hasher.digestBuffer().equals(checksum) ? null : WRONG_CHECKSUM;
  }

  /** Waits for the disk; again for nothing. */
  settle(): void {
    this.#batch.finish();
  }
}
