/**
 * How the runs of a replica change when it moves: what is written where, and what is let go. Pure.
 *
 * A replica may move as a whole, or only those of its pieces that lie in a window; then the others
 * stay where they are.
 */

import { InvariantError } from './errors.js';
import { type ByteRun, joinTouching, totalBytes } from './units.js';

/** Content of an extent from `contentOffsetBytes` on, and where it is written. */
export interface PlacedWrite {
  readonly run: ByteRun;
  readonly contentOffsetBytes: number;
}

export interface ReplicaLayout {
  /** The whole replica afterwards, in the order of its content. */
  readonly runs: readonly ByteRun[];
  /** What of it is new. */
  readonly writes: readonly PlacedWrite[];
  /** What of the old replica is no longer used. */
  readonly released: readonly ByteRun[];
}

export function moveWhole(from: readonly ByteRun[], to: readonly ByteRun[]): ReplicaLayout {
  let contentOffsetBytes = 0;
  const writes = to.map((run) => {
    const write = { run, contentOffsetBytes };
    contentOffsetBytes += run.lengthBytes;
    return write;
  });
  return { runs: to, writes, released: from };
}

/** The parts of `runs` that lie inside the window. */
export function insideWindow(runs: readonly ByteRun[], window: ByteRun): ByteRun[] {
  return split(runs, window)
    .filter(({ isInside }) => isInside)
    .map(({ run }) => run);
}

/**
 * Moves the pieces inside `window` to `to`, in the order of their content.
 *
 * @param to as many bytes as lie inside.
 */
export function movePieces(
  from: readonly ByteRun[],
  window: ByteRun,
  to: readonly ByteRun[],
): ReplicaLayout {
  const pieces = split(from, window);
  const released = pieces.filter(({ isInside }) => isInside).map(({ run }) => run);
  if (totalBytes(released) !== totalBytes(to)) throw new InvariantError('pieces need equal room');
  const free = to.map((run) => ({ ...run }));
  const writes: PlacedWrite[] = [];
  const runs: ByteRun[] = [];
  let contentOffsetBytes = 0;
  for (const { run, isInside } of pieces) {
    if (!isInside) {
      runs.push(run);
      contentOffsetBytes += run.lengthBytes;
      continue;
    }
    for (let leftBytes = run.lengthBytes; leftBytes > 0; ) {
      const next = free[0];
      if (!next) throw new InvariantError('pieces need equal room');
      const lengthBytes = Math.min(leftBytes, next.lengthBytes);
      const part = { startBytes: next.startBytes, lengthBytes };
      runs.push(part);
      writes.push({ run: part, contentOffsetBytes });
      contentOffsetBytes += lengthBytes;
      leftBytes -= lengthBytes;
      next.startBytes += lengthBytes;
      next.lengthBytes -= lengthBytes;
      if (next.lengthBytes === 0) free.shift();
    }
  }
  return { runs: joinTouching(runs), writes, released };
}

/** Cuts runs at the edges of the window. */
function split(runs: readonly ByteRun[], window: ByteRun): { run: ByteRun; isInside: boolean }[] {
  const windowEndBytes = window.startBytes + window.lengthBytes;
  return runs.flatMap(({ startBytes, lengthBytes }) => {
    const endBytes = startBytes + lengthBytes;
    const from = Math.min(Math.max(startBytes, window.startBytes), endBytes);
    const to = Math.max(Math.min(endBytes, windowEndBytes), from);
    const parts = [
      { run: { startBytes, lengthBytes: from - startBytes }, isInside: false },
      { run: { startBytes: from, lengthBytes: to - from }, isInside: true },
      { run: { startBytes: to, lengthBytes: endBytes - to }, isInside: false },
    ];
    return parts.filter(({ run }) => run.lengthBytes > 0);
  });
}
