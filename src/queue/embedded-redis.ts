/**
 * The private Redis of one agent: a child process on a Unix socket, append-only.
 *
 *   starting → ready → (died → starting)* → stopped
 *
 * It is started again when it dies. It ends with the agent, even when the agent is killed, where
 * setpriv can ask the kernel for that; a Redis that outlived its agent is ended first, since nobody
 * would notice its death, which may be under way at that very moment.
 *
 * Safe while: the agent's lock on the state directory is held. A second server on the same socket
 * would steal it silently.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { MaintenanceError } from '../domain/errors.js';
import { disconnect } from './connection.js';

/** Generous: on a disk that is busy its journal takes seconds to open. */
const START_TIMEOUT_MS = 30_000;
const RESTART_DELAY_MS = 500;
const STOP_TIMEOUT_MS = 5_000;

export class EmbeddedRedis {
  readonly socketPath: string;
  readonly #directory: string;
  readonly #onEvent: (message: string) => void;
  #child: ChildProcess | null = null;
  #spawnError: string | null = null;
  #answered = false;
  #stopping = false;

  constructor(stateDirectory: string, onEvent: (message: string) => void) {
    this.socketPath = join(stateDirectory, 'redis.sock');
    this.#directory = join(stateDirectory, 'redis');
    this.#onEvent = onEvent;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** @throws MaintenanceError ERR_QUEUE when it does not answer in time. */
  async start(): Promise<void> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    chmodSync(this.#directory, 0o700);
    const deadlineMs = Date.now() + START_TIMEOUT_MS;
    while (await answers(this.socketPath)) {
      await shutDown(this.socketPath);
      if (Date.now() > deadlineMs) throw didNotStart(this.socketPath, 'an older one does not end');
      await sleep(25);
    }
    let end = await this.#spawnAndWait(deadlineMs);
    if (end === 'it ended (1)' && this.#setJournalAside()) {
      this.#onEvent('redis-server could not read its journal; it starts empty, runs are in SQLite');
      end = await this.#spawnAndWait(deadlineMs);
    }
    if (end !== null) throw didNotStart(this.socketPath, end);
    this.#answered = true;
  }

  /** @returns null once it answers, else what became of it. */
  async #spawnAndWait(deadlineMs: number): Promise<string | null> {
    const child = this.#spawn();
    while (!(await answers(this.socketPath))) {
      const end = this.#spawnError ?? child.exitCode ?? child.signalCode;
      if (end !== null) return `it ended (${end})`;
      if (Date.now() > deadlineMs) return 'it does not answer';
      await sleep(25);
    }
    return null;
  }

  /** Redis only carries jobs: what it lost, the agent queues again. @returns false without a journal. */
  #setJournalAside(): boolean {
    const journal = join(this.#directory, 'appendonlydir');
    if (!existsSync(journal)) return false;
    rmSync(`${journal}.unreadable`, { recursive: true, force: true });
    renameSync(journal, `${journal}.unreadable`);
    return true;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (!child) return;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await Promise.race([exited, sleep(STOP_TIMEOUT_MS, null, { ref: false })]);
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }

  #spawn(): ChildProcess {
    const server = [
      'redis-server',
      ...['--port', '0', '--unixsocket', this.socketPath, '--unixsocketperm', '700'],
      ...['--dir', this.#directory, '--appendonly', 'yes', '--appendfsync', 'everysec'],
      ...['--save', '', '--maxmemory-policy', 'noeviction', '--daemonize', 'no'],
      ...['--loglevel', 'warning'],
    ];
    const [program = '', ...args] = hasSetpriv()
      ? ['setpriv', '--pdeathsig', 'TERM', ...server]
      : server;
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#child = child;
    child.on('error', (error) => {
      this.#spawnError = error.message;
      this.#onEvent(`redis-server did not start: ${error.message}`);
    });
    child.on('exit', (code, signal) => {
      // One that never answered is no use trying again: `start` says so.
      if (this.#stopping || !this.#answered) return;
      this.#onEvent(`redis-server ended (${signal ?? code}); starting it again`);
      setTimeout(() => {
        if (!this.#stopping) this.#spawn();
      }, RESTART_DELAY_MS);
    });
    return child;
  }
}

let setprivFound: boolean | null = null;

function hasSetpriv(): boolean {
  setprivFound ??= spawnSync('setpriv', ['--version'], { stdio: 'ignore' }).status === 0;
  return setprivFound;
}

async function withClient<T>(path: string, ask: (redis: Redis) => Promise<T>): Promise<T | null> {
  const redis = new Redis({
    path,
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: () => null,
    commandTimeout: 1_000,
  });
  redis.on('error', () => {});
  try {
    await redis.connect();
    return await ask(redis);
  } catch {
    return null;
  } finally {
    disconnect(redis);
  }
}

async function answers(path: string): Promise<boolean> {
  return (await withClient(path, (redis) => redis.ping())) === 'PONG';
}

async function shutDown(path: string): Promise<void> {
  await withClient(path, (redis) => redis.shutdown());
}

function didNotStart(socketPath: string, reason: string): MaintenanceError {
  return new MaintenanceError(
    'ERR_QUEUE',
    `the embedded Redis did not start at ${socketPath}: ${reason}`,
    {
      nextStep:
        'If redis-server is not installed: apt-get install redis-server, or name a Redis in DYNAMICFS_REDIS_URL. Else see its own words in the log of the agent.',
    },
  );
}
