/**
 * What a power cut leaves on disks, rebuilt from a record of every write and flush.
 *
 * A disk may lose, reorder and tear whatever it was given since its last flush. For each instant of a
 * record the states are: all of that arrived (`prefix`), none (`none`), one is missing (`dropped`),
 * only the last is there (`reordered`), a random part (`subset`), and all with the last torn at a
 * sector (`torn`). Several disks are cut at one instant, each with its own luck.
 *
 * Limits of the model: a write counts as given when the disk answered it, so what the disk had in
 * hand beside a flush is not taken apart; subsets are drawn, not all of them.
 */

import type { ByteRun } from '../../src/domain/units.js';
import type { ArrivedWrite, FaultDisk } from './fault-disk.js';

const SECTOR_BYTES = 512;
const CUT_KINDS = ['prefix', 'none', 'dropped', 'reordered', 'subset', 'torn'] as const;
type CutKind = (typeof CUT_KINDS)[number];

export interface PowerCutState {
  readonly kind: CutKind;
  /** Events before the cut; with `kind` it names the state. */
  readonly eventCount: number;
  /** What the program had said by then. */
  readonly marks: readonly string[];
  /** Per disk, in the order of the recorder. */
  readonly arrived: readonly (readonly ArrivedWrite[])[];
}

export interface StateOptions {
  /** States at most, drawn from all: as many of each kind as there are. */
  readonly count: number;
  readonly seed: number;
  /** A write that the disk does as a whole or not at all, since its file system relies on that. */
  readonly isAtomic?: (write: ByteRun) => boolean;
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
    for (let eventCount = 0; eventCount <= this.#events.length; eventCount += 1) {
      for (const state of this.#statesAt(eventCount, random, isAtomic)) {
        const key = JSON.stringify([state.marks, state.arrived]);
        if (!seen.has(key)) byKind.get(state.kind)?.push(state);
        seen.add(key);
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
    for (const [index, disk] of this.#disks.entries()) await disk.restore(arrived[index] ?? []);
  }

  #statesAt(
    eventCount: number,
    random: () => number,
    isAtomic: (write: ByteRun) => boolean,
  ): PowerCutState[] {
    const before = this.#events.slice(0, eventCount);
    const marks = before.flatMap(({ mark }) => (mark === null ? [] : [mark]));
    return CUT_KINDS.map((kind) => ({
      kind,
      eventCount,
      marks,
      arrived: this.#disks.map((_, disk) => {
        const requests = before.filter((event) => event.disk === disk);
        return arrivedOf(requests, { kind, random, isAtomic });
      }),
    }));
  }
}

function arrivedOf(
  requests: readonly CutEvent[],
  how: { kind: CutKind; random: () => number; isAtomic: (write: ByteRun) => boolean },
): ArrivedWrite[] {
  const flushAt = requests.findLastIndex(({ write }) => write === null);
  const whole = (events: readonly CutEvent[]): ArrivedWrite[] =>
    events.flatMap(({ write, index }) => (write === null ? [] : [[index, null] as const]));
  const pending = requests.slice(flushAt + 1);
  return [...whole(requests.slice(0, flushAt + 1)), ...lucky(whole(pending), pending, how)];
}

function lucky(
  all: ArrivedWrite[],
  pending: readonly CutEvent[],
  {
    kind,
    random,
    isAtomic,
  }: { kind: CutKind; random: () => number; isAtomic: (write: ByteRun) => boolean },
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
      if (!last?.write || isAtomic(last.write)) return all;
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
