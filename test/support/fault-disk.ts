/**
 * An image whose requests can be made to fail, or be recorded: an NBD server in a process of its own,
 * and nbdfuse. A loop device on it with direct I/O has those errors exactly. Its process is told by
 * lines on its standard input, since the test must not touch a mount from the process that serves it.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ByteRun } from '../../src/domain/units.js';
import { canMount } from './loop-mounts.js';
import { tempDirectory } from './temp-directory.js';

const SERVER = join(dirname(fileURLToPath(import.meta.url)), 'fault-disk-server.mjs');

export const hasNbdfuse = (process.env.PATH ?? '')
  .split(':')
  .some((directory) => existsSync(join(directory, 'nbdfuse')));

export interface FaultRule {
  readonly op: 'read' | 'write' | 'flush' | 'trim';
  /** The first request that fails, from 1. */
  readonly nth: number;
  /** How many fail; null for all from there on. */
  readonly count: number | null;
  /** Flips a bit instead of failing. */
  readonly flip?: boolean;
  /** Instead of EIO: 95 for a device that cannot do it. */
  readonly errno?: number;
  /** Answers late and well instead of failing. */
  readonly delayMs?: number;
  /** Only requests that reach beyond here. */
  readonly fromBytes?: number;
  /** Only requests of this size or more: data, not the journal's. */
  readonly bytesMin?: number;
}

/** One request that a disk answered while it was recorded. */
export interface RecordedRequest {
  /** Of a clock that all processes share. */
  readonly atNs: bigint;
  /** Null for a flush. Discards are writes of zeros. */
  readonly write: ByteRun | null;
}

/** A recorded write, by its number, and how much of it arrived; null for all. */
export type ArrivedWrite = readonly [index: number, byteCount: number | null];

export const canFault = canMount && spawnSync('which', ['nbdfuse']).status === 0;

export class FaultDisk implements AsyncDisposable {
  /** For a `LoopMount`. */
  readonly imagePath: string;
  readonly #server: ChildProcess;
  readonly #fuse: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(parts: {
    imagePath: string;
    server: ChildProcess;
    fuse: ChildProcess;
    lines: AsyncIterator<string>;
  }) {
    this.imagePath = parts.imagePath;
    this.#server = parts.server;
    this.#fuse = parts.fuse;
    this.#lines = parts.lines;
  }

  static async start(
    sizeBytes: number,
    options: { readonly canTrim?: boolean } = {},
  ): Promise<FaultDisk> {
    const directory = tempDirectory('fault-disk');
    const socket = join(directory, 'nbd.sock');
    const trim = options.canTrim === false ? ['no-trim'] : [];
    const server = spawn(process.execPath, [SERVER, socket, String(sizeBytes), ...trim], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (!server.stdout) throw new Error('no output of the fault disk');
    const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
    await lines.next();
    const point = join(directory, 'fuse');
    mkdirSync(point);
    writeFileSync(join(point, 'disk'), '');
    const file = join(point, 'disk');
    // In a session of its own: told to end with the whole run, it would unmount itself, and nobody could
    // tell any more whose the loop device on it is. The janitor ends it.
    const fuse = spawn('nbdfuse', ['-C', '4', file, `nbd+unix:///?socket=${socket}`], {
      stdio: 'inherit',
      detached: true,
    });
    while (!existsSync(file) || statSync(file).size !== sizeBytes) await pause(20);
    return new FaultDisk({ imagePath: file, server, fuse, lines });
  }

  /** Forgets earlier rules. */
  async fail(rule: FaultRule | null): Promise<void> {
    await this.#ask(JSON.stringify({ rule }));
  }

  /** @returns requests that a rule met since the last one was set. */
  async hitCount(): Promise<number> {
    return (await this.#ask('{}')).hitCount;
  }

  /** Pulls it out: every request fails from now on. */
  async vanish(): Promise<void> {
    const ended = once(this.#fuse, 'close');
    this.#fuse.kill('SIGKILL');
    await ended;
  }

  /** No request is answered any more, until `goOn`. */
  hang(): void {
    this.#server.kill('SIGSTOP');
  }

  goOn(): void {
    this.#server.kill('SIGCONT');
  }

  /** By a process of its own. */
  goOnIn(seconds: number): void {
    spawn('sh', ['-c', `sleep ${seconds}; kill -CONT ${this.#server.pid}`], { stdio: 'ignore' });
  }

  async record(): Promise<void> {
    await this.#ask(JSON.stringify({ record: true }));
  }

  async endRecord(): Promise<RecordedRequest[]> {
    const { recorded = [] } = await this.#ask(JSON.stringify({ record: false }));
    return recorded.map(({ atNs, write }) => ({ atNs: BigInt(atNs), write }));
  }

  /**
   * Is as when the record began, but for these writes of it.
   *
   * Safe while: nothing on it is mounted or open.
   */
  async restore(arrived: readonly ArrivedWrite[]): Promise<void> {
    await this.#ask(JSON.stringify({ restore: arrived }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      try {
        execFileSync('umount', [this.imagePath], { stdio: 'pipe' });
        break;
      } catch (cause) {
        // The kernel lets go of a detached loop device a moment later.
        if (tries === 50) throw cause;
        await pause(40);
      }
    }
    if (this.#fuse.exitCode === null && this.#fuse.signalCode === null)
      await once(this.#fuse, 'close');
    this.#server.stdin?.end();
    if (this.#server.exitCode === null) await once(this.#server, 'close');
  }

  async #ask(line: string): Promise<Answer> {
    this.#server.stdin?.write(`${line}\n`);
    return JSON.parse((await this.#lines.next()).value);
  }
}

interface Answer {
  readonly hitCount: number;
  readonly recorded?: readonly { readonly atNs: string; readonly write: ByteRun | null }[];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
