/**
 * planRoom and movePieces: which windows of a disk to clear, and how a replica leaves one.
 *
 * Strategy: small hand-made disks for the choice, then random disks and replicas for the rules that
 * protect data: windows are disjoint and hold nothing that cannot move, and a replica that moves
 * keeps every byte of its content in its order.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlacedRun, planRoom } from '../../src/domain/make-room.js';
import { insideWindow, movePieces, moveWhole } from '../../src/domain/replica-layout.js';
import { type ByteRun, totalBytes } from '../../src/domain/units.js';

const run = (startBytes: number, lengthBytes: number, extentId: number | null = null) => ({
  startBytes,
  lengthBytes,
  extentId,
});

/** Lengths one behind the other; null for free space. */
function disk(...parts: [lengthBytes: number, extentId: number | null][]): PlacedRun[] {
  let at = 0;
  return parts.map(([lengthBytes, extentId]) => {
    at += lengthBytes;
    return run(at - lengthBytes, lengthBytes, extentId);
  });
}

/** Every block of content as [offset, place]. */
function blocks(runs: readonly ByteRun[]): number[] {
  return runs.flatMap(({ startBytes, lengthBytes }) =>
    Array.from({ length: lengthBytes }, (_, i) => startBytes + i),
  );
}

describe('planRoom', () => {
  it('chooses the window from which least has to move', () => {
    const runs = disk([2, null], [6, 1], [2, null], [2, 2], [6, null], [9, 3]);

    expect(planRoom(runs, 8, 1)).toEqual([
      { window: { startBytes: 8, lengthBytes: 10 }, extentIds: [2], movedBytes: 2 },
    ]);
  });

  it('joins free and pending space that lie side by side, at no cost', () => {
    const runs = disk([4, null], [4, null], [8, 1]);

    expect(planRoom(runs, 8, 1)).toEqual([
      { window: { startBytes: 0, lengthBytes: 8 }, extentIds: [], movedBytes: 0 },
    ]);
  });

  it('never reaches over what cannot move', () => {
    const runs = [run(0, 4), run(8, 4), run(12, 2, 1)];

    expect(planRoom(runs, 6, 5)).toEqual([
      { window: { startBytes: 8, lengthBytes: 6 }, extentIds: [1], movedBytes: 2 },
    ]);
    expect(planRoom(runs, 7, 5)).toEqual([]);
  });

  it('plans disjoint windows without gaps, and moves no extent for two of them', () => {
    const part = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.option(fc.nat(12)));
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 60 }),
        fc.integer({ min: 2, max: 30 }),
        (parts, size) => {
          const runs = disk(...parts);
          const plans = planRoom(runs, size, 4);
          const seen = new Set<number>();
          for (const { window, extentIds, movedBytes } of plans) {
            expect(window.lengthBytes).toBeGreaterThanOrEqual(size);
            const inside = runs.filter(
              (r) =>
                r.startBytes >= window.startBytes &&
                r.startBytes < window.startBytes + window.lengthBytes,
            );
            expect(totalBytes(inside)).toBe(window.lengthBytes);
            expect(new Set(extentIds)).toEqual(
              new Set(inside.flatMap((r) => (r.extentId === null ? [] : [r.extentId]))),
            );
            expect(totalBytes(inside.filter((r) => r.extentId !== null))).toBe(movedBytes);
            for (const place of blocks([window])) {
              expect(seen.has(place)).toBe(false);
              seen.add(place);
            }
          }
          const ids = plans.flatMap((plan) => plan.extentIds);
          expect(new Set(ids).size).toBe(ids.length);
        },
      ),
    );
  });
});

describe('a replica that leaves a window', () => {
  it('keeps the order of its content, writes what moved, and lets go of what it left', () => {
    const lengths = fc.array(fc.tuple(fc.nat(6), fc.integer({ min: 1, max: 8 })), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        lengths,
        fc.nat(80),
        fc.integer({ min: 1, max: 60 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 5 })),
        (gaps, start, length, cuts) => {
          let at = 0;
          const from = gaps.map(([gap, lengthBytes]) => {
            at += gap + lengthBytes;
            return { startBytes: at - lengthBytes, lengthBytes };
          });
          const window = { startBytes: start, lengthBytes: length };
          const leaving = insideWindow(from, window);
          const to: ByteRun[] = [];
          let left = totalBytes(leaving);
          for (let place = 1_000; left > 0; place += 10) {
            const lengthBytes = Math.min(left, cuts.next().value ?? 1);
            to.push({ startBytes: place, lengthBytes });
            left -= lengthBytes;
          }

          const layout = movePieces(from, window, to);

          const before = blocks(from);
          const after = blocks(layout.runs);
          expect(after.length).toBe(before.length);
          const isInside = (place: number) => place >= start && place < start + length;
          for (const [offset, place] of before.entries()) {
            if (isInside(place)) expect(after[offset]).toBeGreaterThanOrEqual(1_000);
            else expect(after[offset]).toBe(place);
          }
          for (const write of layout.writes) {
            const places = after.slice(
              write.contentOffsetBytes,
              write.contentOffsetBytes + write.run.lengthBytes,
            );
            expect(places).toEqual(blocks([write.run]));
          }
          expect(blocks(layout.released)).toEqual(before.filter(isInside));
          expect(totalBytes(layout.writes.map((write) => write.run))).toBe(totalBytes(to));
        },
      ),
    );
  });

  it('lets go of all of its old place when it moves as a whole', () => {
    const from = [
      { startBytes: 0, lengthBytes: 4 },
      { startBytes: 9, lengthBytes: 4 },
    ];
    const to = [{ startBytes: 20, lengthBytes: 8 }];

    expect(moveWhole(from, to)).toEqual({
      runs: to,
      writes: [{ run: to[0], contentOffsetBytes: 0 }],
      released: from,
    });
  });
});
