/**
 * The bytes of a disk's journal: frames that a reader can trust or recognise as not there.
 *
 * A frame holds what one transaction changed on this disk. Little-endian:
 *   0  u32 magic   4  u32 payload length   8  u32 CRC32C of epoch, offset and payload   12  payload
 * The offset is in the CRC, and the epoch is new with each compaction, so that old bytes in a
 * reused place never pass for a frame. A frame cut off by a crash fails its CRC and ends the journal.
 */

import { crc32c } from '@node-rs/crc32';
import type { Tier } from '../../domain/heat.js';
import type { ByteRun } from '../../domain/units.js';
import type { ObjectKind } from '../../store/objects.js';

const MAGIC = 0x4c4e4a44; // "DJNL"
export const FRAME_PREFIX_BYTES = 12;
/** Room that every segment keeps for the frame that names the next one, and the zeros behind it. */
export const LINK_FRAME_BYTES = 128;

export type RunPair = readonly [startBytes: number, lengthBytes: number];

/** Arrays, not objects: a journal holds one record per extent, and keys would double it. */
export type JournalRecord =
  | readonly [
      tag: 'object',
      objectId: number,
      name: string,
      kind: ObjectKind,
      sizeBytes: number,
      extentCount: number,
      mode: number,
      mtimeMs: number,
      linkTarget: string | null,
      storedAtMs: number,
    ]
  | readonly [
      tag: 'extent',
      extentId: number,
      objectId: number,
      extentIndex: number,
      sizeBytes: number,
      checksumBase64: string,
      generation: number,
      replicaCount: number,
      tier: Tier,
      runs: readonly RunPair[],
    ]
  /** The object and all its extents are gone. */
  | readonly [tag: 'deleted', objectId: number]
  /** This disk no longer holds a replica of the extent; another does. */
  | readonly [tag: 'moved-away', extentId: number]
  | readonly [tag: 'next-segment', startBytes: number, lengthBytes: number];

export function encodeFrame(
  records: readonly JournalRecord[],
  epoch: number,
  atBytes: number,
): Buffer {
  const payload = Buffer.from(JSON.stringify(records));
  const frame = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + payload.length);
  frame.writeUInt32LE(MAGIC, 0);
  frame.writeUInt32LE(payload.length, 4);
  frame.writeUInt32LE(checksum(payload, epoch, atBytes), 8);
  payload.copy(frame, FRAME_PREFIX_BYTES);
  return frame;
}

/** @returns the records and the bytes that the frame takes, or null when there is no frame here. */
export function decodeFrame(
  segment: Buffer,
  offsetBytes: number,
  epoch: number,
  segmentStartBytes: number,
): { records: JournalRecord[]; frameBytes: number } | null {
  if (offsetBytes + FRAME_PREFIX_BYTES > segment.length) return null;
  if (segment.readUInt32LE(offsetBytes) !== MAGIC) return null;
  const payloadBytes = segment.readUInt32LE(offsetBytes + 4);
  const from = offsetBytes + FRAME_PREFIX_BYTES;
  if (from + payloadBytes > segment.length) return null;
  const payload = segment.subarray(from, from + payloadBytes);
  const expected = segment.readUInt32LE(offsetBytes + 8);
  if (checksum(payload, epoch, segmentStartBytes + offsetBytes) !== expected) return null;
  return {
    records: JSON.parse(payload.toString('utf8')),
    frameBytes: FRAME_PREFIX_BYTES + payloadBytes,
  };
}

export function runPairs(runs: readonly ByteRun[]): RunPair[] {
  return runs.map((run) => [run.startBytes, run.lengthBytes]);
}

function checksum(payload: Buffer, epoch: number, atBytes: number): number {
  const place = Buffer.allocUnsafe(16);
  place.writeBigUInt64LE(BigInt(epoch), 0);
  place.writeBigUInt64LE(BigInt(atBytes), 8);
  return crc32c(payload, crc32c(place));
}
