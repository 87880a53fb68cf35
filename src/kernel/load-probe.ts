/** What the devices below a pool did since the last look, what of it was ours, and who waits. */

import { closeSync, existsSync, openSync, readSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { LoadSample } from '../domain/governor.js';
import { deviceNumberOf, isBlockDevice, sysfsNameOf } from './block-device.js';
import { detectMount, type KernelTrees, LIVE_TREES } from './mount-info.js';

const SECTOR_BYTES = 512;
const US_PER_MS = 1_000;

/** As `/sys/class/block` names them. @returns none for a path on memory or a network. */
export function deviceNamesUnder(path: string): string[] {
  try {
    if (!isBlockDevice(path)) return detectMount(path).devices.map(({ name }) => name);
    const name = sysfsNameOf(deviceNumberOf(path));
    return name === null ? [] : [name];
  } catch {
    return [];
  }
}

interface DeviceCounters {
  readonly readCount: number;
  readonly readBytes: number;
  readonly writeCount: number;
  readonly writeBytes: number;
  readonly waitedMs: number;
  readonly busyMs: number;
}

interface Counters {
  readonly atMs: number;
  readonly devices: readonly DeviceCounters[];
  readonly ownReadBytes: number;
  readonly ownWriteBytes: number;
  readonly stalledMs: number | null;
}

export class LoadProbe {
  readonly #names: readonly string[];
  readonly #trees: KernelTrees;
  readonly #clock: () => number;
  #before: Counters | null;

  /**
   * @param deviceNames what requests of the file system go to: of a partition its disk is looked at,
   *   which it shares; of a stack of devices the top.
   * @param clock milliseconds that only go forward.
   */
  constructor(
    deviceNames: readonly string[],
    trees: KernelTrees = LIVE_TREES,
    clock: () => number = () => performance.now(),
  ) {
    this.#names = [...new Set(deviceNames.map((name) => wholeDisk(name, trees)))];
    this.#trees = trees;
    this.#clock = clock;
    this.#before = this.#read();
  }

  /** @returns what happened since the last call; null when devices or our own accounts do not tell. */
  take(): LoadSample | null {
    const before = this.#before;
    const now = this.#read();
    this.#before = now;
    return before && now && between(before, now);
  }

  #read(): Counters | null {
    const { procPath } = this.#trees;
    try {
      if (this.#names.length === 0) return null;
      const devices = this.#names.map((name) => readDevice(name, this.#trees));
      const own = readCounters(join(procPath, 'self/io'));
      return {
        atMs: this.#clock(),
        devices,
        ownReadBytes: fieldOf(own, /^read_bytes: (\d+)$/m),
        ownWriteBytes: fieldOf(own, /^write_bytes: (\d+)$/m),
        stalledMs: readStalledMs(procPath),
      };
    } catch {
      return null;
    }
  }
}

function between(before: Counters, now: Counters): LoadSample {
  const durationMs = now.atMs - before.atMs;
  const gained = now.devices.map((device, index) => difference(before.devices[index], device));
  const sum = (key: keyof DeviceCounters) => gained.reduce((all, one) => all + one[key], 0);
  const busyMs = Math.max(...gained.map((device) => device.busyMs));
  const share = (ms: number) => (durationMs > 0 ? Math.min(1, Math.max(0, ms / durationMs)) : 0);
  const { stalledMs } = now;
  return {
    durationMs,
    readCount: sum('readCount'),
    writeCount: sum('writeCount'),
    readBytes: sum('readBytes'),
    writeBytes: sum('writeBytes'),
    waitedMs: sum('waitedMs'),
    busyRatio: share(busyMs),
    ownReadBytes: Math.max(0, now.ownReadBytes - before.ownReadBytes),
    ownWriteBytes: Math.max(0, now.ownWriteBytes - before.ownWriteBytes),
    stallRatio:
      stalledMs === null || before.stalledMs === null ? null : share(stalledMs - before.stalledMs),
  };
}

/** A counter that wrapped, or a device of the same name that is another one, counts as nothing. */
function difference(before: DeviceCounters | undefined, now: DeviceCounters): DeviceCounters {
  const gain = (key: keyof DeviceCounters) => Math.max(0, now[key] - (before?.[key] ?? now[key]));
  return {
    readCount: gain('readCount'),
    readBytes: gain('readBytes'),
    writeCount: gain('writeCount'),
    writeBytes: gain('writeBytes'),
    waitedMs: gain('waitedMs'),
    busyMs: gain('busyMs'),
  };
}

/**
 * @throws an Error when the device is gone, or does not count (queue/iostats).
 *
 * Source: Documentation/block/stat.rst.
 */
function readDevice(name: string, { sysPath }: KernelTrees): DeviceCounters {
  const directory = join(sysPath, 'class/block', name);
  if (readCounters(join(directory, 'queue/iostats')).trim() === '0') {
    throw new Error(`${name} does not count`);
  }
  const fields = readCounters(join(directory, 'stat')).trim().split(/\s+/).map(Number);
  const [readCount = 0, , readSectors = 0, readMs = 0, writeCount = 0, , writeSectors = 0] = fields;
  const [writeMs = 0, , busyMs = 0] = fields.slice(7);
  return {
    readCount,
    readBytes: readSectors * SECTOR_BYTES,
    writeCount,
    writeBytes: writeSectors * SECTOR_BYTES,
    waitedMs: readMs + writeMs,
    busyMs,
  };
}

/** @throws an Error when there is no such line: proc(5), /proc/pid/io. */
function fieldOf(text: string, pattern: RegExp): number {
  const value = Number(pattern.exec(text)?.[1]);
  if (Number.isNaN(value)) throw new Error(`no ${pattern.source}`);
  return value;
}

/** Source: Documentation/accounting/psi.rst; a kernel may be built or started without it. */
function readStalledMs(procPath: string): number | null {
  try {
    const text = readCounters(join(procPath, 'pressure/io'));
    return fieldOf(text, /^some .*total=(\d+)$/m) / US_PER_MS;
  } catch {
    return null;
  }
}

/**
 * Several times a second beside others' work: one read into memory that is there, where `readFileSync`
 * takes two, asks for the size and makes garbage.
 */
function readCounters(path: string): string {
  const fd = openSync(path, 'r');
  try {
    return COUNTERS.toString('latin1', 0, readSync(fd, COUNTERS, 0, COUNTERS.length, 0));
  } finally {
    closeSync(fd);
  }
}

/** None of these files is longer; the kernel gives each whole in one read. */
const COUNTERS = Buffer.alloc(4096);

function wholeDisk(name: string, { sysPath }: KernelTrees): string {
  const path = join(sysPath, 'class/block', name);
  return existsSync(join(path, 'partition')) ? basename(dirname(realpathSync(path))) : name;
}
