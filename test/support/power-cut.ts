/**
 * What a power cut leaves on disks, rebuilt from a record of every write and flush.
 *
 * A disk may lose, reorder and tear whatever it was given since its last flush. For each instant of a
 * record the states are: all of that arrived (`prefix`), none (`none`), one is missing (`dropped`),
 * only the last is there (`reordered`), a random part (`subset`), and all with the last torn at a
 * sector (`torn`). Several disks are cut at one instant, each with its own luck since its own last
 * flush: of one kind, or each of another (`mixed`).
 *
 * Limits of the model: a write counts as given when the disk answered it, so what the disk had in
 * hand beside a flush is not taken apart; subsets are drawn, not all of them.
 */

import type { ByteRun } from '../../src/domain/units.js';
import type { ArrivedWrite, FaultDisk } from './fault-disk.js';

const IS_LONG = process.env.DYNAMICFS_TEST_LONG === '1';
/** For tests of pools: a sample, unless more is asked for. */
export const STATE_COUNT = Number(process.env.DYNAMICFS_POWER_CUT_STATES ?? (IS_LONG ? 3_000 : 24));
export const CONTROL_STATE_COUNT = 8;
export const SEED = Number(process.env.DYNAMICFS_POWER_CUT_SEED ?? 1);
/** Several times what a state takes on a busy machine. */
export const STATE_MS_MAX = 5_000;
/** A long run says how far it is. */
export function sayProgress(doneCount: number, count: number): void {
  if (doneCount % 100 === 0)
    process.stderr.write(`${doneCount} of ${count} power cuts are sound\n`);
}

const SECTOR_BYTES = 512;
const ONE_FOR_ALL = ['prefix', 'none', 'dropped', 'reordered', 'subset', 'torn'] as const;
const CUT_KINDS = [...ONE_FOR_ALL, 'mixed'] as const;
type CutKind = (typeof CUT_KINDS)[number];
/** More are not looked for when nothing new was drawn so often. */
const ROUNDS_MAX = 100;

export interface PowerCutState {
  readonly kind: CutKind;
  /** Events before the cut; with `kind` it names the state. */
  readonly eventCount: number;
  /** What the program had said by then. */
  readonly marks: readonly string[];
  /** Per disk, in the order of the recorder. */
  readonly arrived: readonly Arrived[];
}

/** What of a disk's record is on it. */
interface Arrived {
  /** So many writes from the first one, whole. */
  readonly wholeCount: number;
  /** Of those behind. */
  readonly others: readonly ArrivedWrite[];
}

export interface StateOptions {
  /** States at most, drawn from all: as many of each kind as there are. */
  readonly count: number;
  readonly seed: number;
  /** A write that the disk does as a whole or not at all, since its file system relies on that. */
  readonly isAtomic?: (write: ByteRun, disk: number) => boolean;
  /** The disks lied: what was flushed may be lost as well. For controls. */
  readonly ignoresFlushes?: boolean;
}

interface CutEvent {
  readonly atNs: bigint;
  readonly mark: string | null;
  readonly disk: number;
  readonly index: number;
  readonly write: ByteRun | null;
}

/** Records what some disks are given, and what the program says meanwhile. */
export class PowerCutRecorder {
  readonly #disks: readonly FaultDisk[];
  readonly #events: CutEvent[] = [];

  private constructor(disks: readonly FaultDisk[]) {
    this.#disks = disks;
  }

  /** Safe while: all that was written before is on the disks (`sync -f`). */
  static async start(...disks: readonly FaultDisk[]): Promise<PowerCutRecorder> {
    for (const disk of disks) await disk.record();
    return new PowerCutRecorder(disks);
  }

  /** Says that something is done for good, so that states after it can be held against it. */
  mark(mark: string): void {
    const atNs = process.hrtime.bigint();
    this.#events.push({ atNs, mark, disk: -1, index: -1, write: null });
  }

  async stop(): Promise<PowerCuts> {
    const events = [...this.#events];
    for (const [disk, faultDisk] of this.#disks.entries()) {
      for (const [index, request] of (await faultDisk.endRecord()).entries()) {
        events.push({ ...request, mark: null, disk, index });
      }
    }
    events.sort((a, b) => (a.atNs < b.atNs ? -1 : a.atNs > b.atNs ? 1 : 0));
    return new PowerCuts(this.#disks, events);
  }
}

/** The states of one record. */
export class PowerCuts {
  readonly #disks: readonly FaultDisk[];
  readonly #events: readonly CutEvent[];

  constructor(disks: readonly FaultDisk[], events: readonly CutEvent[]) {
    this.#disks = disks;
    this.#events = events;
  }

  get writeCount(): number {
    return this.#events.filter(({ write }) => write !== null).length;
  }

  /** @returns distinct states in the order of their cuts; the same for the same record and seed. */
  states(options: StateOptions): PowerCutState[] {
    const { count, seed, isAtomic = () => false, ignoresFlushes = false } = options;
    if (ignoresFlushes) {
      const events = this.#events.filter(({ mark, write }) => mark !== null || write !== null);
      return new PowerCuts(this.#disks, events).states({ count, seed, isAtomic });
    }
    const random = randomOf(seed);
    const byKind = new Map<CutKind, PowerCutState[]>(CUT_KINDS.map((kind) => [kind, []]));
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS_MAX && seen.size < count; round += 1) {
      for (let eventCount = 0; eventCount <= this.#events.length; eventCount += 1) {
        for (const state of this.#statesAt(eventCount, random, isAtomic)) {
          const key = JSON.stringify([state.marks.length, state.arrived]);
          if (!seen.has(key)) byKind.get(state.kind)?.push(state);
          seen.add(key);
        }
      }
    }
    const drawn = takeByTurns(
      [...byKind.values()].map((states) => shuffled(states, random)),
      count,
    );
    return drawn.sort((a, b) => a.eventCount - b.eventCount);
  }

  /** Puts the disks into that state. Safe while: nothing on them is mounted or open. */
  async become({ arrived }: PowerCutState): Promise<void> {
    for (const [disk, faultDisk] of this.#disks.entries()) {
      const { wholeCount = 0, others = [] } = arrived[disk] ?? {};
      const writes = wholeWrites(this.#events.filter((event) => event.disk === disk));
      await faultDisk.restore([...writes.slice(0, wholeCount), ...others]);
    }
  }

  #statesAt(
    eventCount: number,
    random: () => number,
    isAtomic: (write: ByteRun, disk: number) => boolean,
  ): PowerCutState[] {
    const before = this.#events.slice(0, eventCount);
    const marks = before.flatMap(({ mark }) => (mark === null ? [] : [mark]));
    const perDisk = this.#disks.map((_, disk) => before.filter((event) => event.disk === disk));
    // With one disk, `mixed` is nothing but one of the others.
    const kinds = this.#disks.length > 1 ? CUT_KINDS : ONE_FOR_ALL;
    return kinds.map((kind) => ({
      kind,
      eventCount,
      marks,
      arrived: perDisk.map((requests) => {
        const drawn = () => ONE_FOR_ALL[Math.floor(random() * ONE_FOR_ALL.length)] ?? 'prefix';
        return arrivedOf(requests, { kind: kind === 'mixed' ? drawn() : kind, random, isAtomic });
      }),
    }));
  }
}

interface Luck {
  readonly kind: Exclude<CutKind, 'mixed'>;
  readonly random: () => number;
  readonly isAtomic: (write: ByteRun, disk: number) => boolean;
}

function wholeWrites(events: readonly CutEvent[]): ArrivedWrite[] {
  return events.flatMap(({ write, index }) => (write === null ? [] : [[index, null] as const]));
}

/** The same state is told in the same way, however it came about. */
function arrivedOf(requests: readonly CutEvent[], luck: Luck): Arrived {
  const pending = requests.slice(requests.findLastIndex(({ write }) => write === null) + 1);
  const whole = wholeWrites(pending);
  const others = lucky(whole, pending, luck);
  const firstMissing = whole.findIndex(([index], at) => {
    const other = others[at];
    return other?.[0] !== index || other[1] !== null;
  });
  const arrivedCount = firstMissing < 0 ? whole.length : firstMissing;
  return {
    wholeCount: wholeWrites(requests).length - whole.length + arrivedCount,
    others: others.slice(arrivedCount),
  };
}

function lucky(
  all: ArrivedWrite[],
  pending: readonly CutEvent[],
  { kind, random, isAtomic }: Luck,
): ArrivedWrite[] {
  const last = pending.at(-1);
  switch (kind) {
    case 'prefix':
      return all;
    case 'none':
      return [];
    case 'dropped': {
      const dropped = Math.floor(random() * all.length);
      return all.filter((_, index) => index !== dropped);
    }
    case 'reordered':
      return all.slice(-1);
    case 'subset':
      return all.filter(() => random() < 0.5);
    case 'torn': {
      if (!last?.write || isAtomic(last.write, last.disk)) return all;
      const sectorCount = Math.floor(last.write.lengthBytes / SECTOR_BYTES);
      const arrivedBytes = Math.floor(random() * sectorCount) * SECTOR_BYTES;
      return [...all.slice(0, -1), [last.index, arrivedBytes]];
    }
  }
}

function takeByTurns<T>(lists: readonly T[][], count: number): T[] {
  const taken: T[] = [];
  for (let round = 0; taken.length < count; round += 1) {
    const turn = lists.flatMap((list) => list.slice(round, round + 1));
    if (turn.length === 0) break;
    taken.push(...turn.slice(0, count - taken.length));
  }
  return taken;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** Source: xorshift32, Marsaglia, "Xorshift RNGs" (2003). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
