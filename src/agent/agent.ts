/**
 * The daemon: one per state directory. It wires everything and decides nothing; what is wanted is in
 * SQLite, and how to do it is in the processors.
 *
 *   starting → serving → draining → stopped
 *   SIGTERM or SIGINT drains: extents and discards under way are finished, nothing new begins.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { AgentInfo } from '../domain/agent-info.js';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import { createHttpServer, type HttpServer } from '../http/server.js';
import {
  lockAgent,
  removeAgentFile,
  takeAgentLeft,
  writeAgentFile,
  writeAgentLeft,
} from '../kernel/agent-file.js';
import type { FileLock } from '../kernel/file-lock.js';
import { packageVersion } from '../kernel/package-root.js';
import { makeStateDirectory } from '../kernel/state-directory.js';
import { createLog, type Log } from '../observability/log.js';
import { untilBeat } from '../processors/beat.js';
import { connectWorker, describeTarget, redisTarget } from '../queue/connection.js';
import { EmbeddedRedis } from '../queue/embedded-redis.js';
import { type RegisteredPool, Registry } from '../store/registry.js';
import { AgentPool } from './agent-pool.js';
import { within } from './within.js';

/** How soon a new pool, a new run or a resumed one is noticed without a job in Redis. */
const LOOK_EVERY_MS = 1_000;
/** How often schedules and rates are set again, in case Redis was emptied under us. */
const SCHEDULE_EVERY_LOOKS = 15;
/** Commands that ask whether an agent runs hold its lock for a moment. */
const LOCK_TRIES = 10;
const LOCK_RETRY_MS = 30;
/** A look that waits for a Redis that is away is not waited for at the end. */
const LOOK_GRACE_MS = 3_000;

export interface AgentOptions {
  /** `host:port`; port 0 for any. Null serves no pages. */
  readonly httpAddress: string | null;
  /** Take any free port when the asked one is taken. */
  readonly httpAnyPort: boolean;
}

export class Agent {
  readonly #stateDirectory = makeStateDirectory();
  readonly #log: Log = createLog();
  readonly #options: AgentOptions;
  readonly #pools = new Map<string, AgentPool>();
  /** Pools that are being let go; they are not taken again before that is done. */
  readonly #dropping = new Map<string, Promise<void>>();
  readonly #troubles = new Map<string, string>();
  /** Pools that another agent works on. */
  readonly #standby = new Set<string>();
  #lock: FileLock | null = null;
  #embedded: EmbeddedRedis | null = null;
  #redis: Redis | null = null;
  #registry: Registry | null = null;
  #http: HttpServer | null = null;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #lookCount = 0;
  #stopping: Promise<void> | null = null;
  #left: readonly string[] = [];

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY when an agent runs here already, ERR_QUEUE. */
  async start(): Promise<AgentInfo> {
    for (let tries = 0; !this.#lock && tries < LOCK_TRIES; tries += 1) {
      if (tries > 0) await sleep(LOCK_RETRY_MS);
      this.#lock = lockAgent(this.#stateDirectory);
    }
    if (!this.#lock) {
      throw new MaintenanceError(
        'ERR_TARGET_BUSY',
        `an agent runs on ${this.#stateDirectory} already`,
        {
          nextStep: 'See `dynamicfs agent status`; stop it with `dynamicfs agent stop`.',
        },
      );
    }
    try {
      return await this.#startLocked();
    } catch (cause) {
      await this.stop();
      throw cause;
    }
  }

  async #startLocked(): Promise<AgentInfo> {
    // One that was killed left its own, with a process id that may be somebody else's by now.
    removeAgentFile(this.#stateDirectory);
    takeAgentLeft(this.#stateDirectory);
    const target = redisTarget(this.#stateDirectory);
    if (target.kind === 'embedded') {
      this.#embedded = new EmbeddedRedis(this.#stateDirectory, (event) => this.#log.warn(event));
      await this.#embedded.start();
    }
    this.#redis = connectWorker(target);
    this.#watchRedis(this.#redis);
    this.#registry = new Registry(this.#stateDirectory);
    if (this.#options.httpAddress !== null) {
      this.#http = await createHttpServer({
        address: this.#options.httpAddress,
        anyPort: this.#options.httpAnyPort,
        token: process.env.DYNAMICFS_HTTP_TOKEN ?? null,
        pools: () => [...this.#pools.values()],
        registered: () => this.#poolStates(),
        redis: this.#redis,
      });
    }
    this.#startLook();
    // The pools are taken by now; that Redis may be away is nothing to wait for.
    await within(LOOK_GRACE_MS, this.#looking ?? Promise.resolve());
    this.#lookOn();
    const info: AgentInfo = {
      pid: process.pid,
      version: packageVersion(),
      startedAtMs: Date.now(),
      httpUrl: this.#http?.url ?? null,
      redis: describeTarget(target),
    };
    writeAgentFile(this.#stateDirectory, info);
    const { pid: _, ...said } = info;
    this.#log.info({ ...said, stateDirectory: this.#stateDirectory }, 'agent ready');
    return info;
  }

  /** Disks and pools that something of this process still waits for; it cannot end by itself then. */
  get left(): readonly string[] {
    return this.#left;
  }

  /** Drains and stops; a second call waits for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#lock) removeAgentFile(this.#stateDirectory);
    const own = [...this.#pools.values()];
    const pools = own.map((pool) => pool.close());
    await within(LOOK_GRACE_MS, this.#looking ?? Promise.resolve());
    await this.#http?.close();
    await Promise.allSettled([...pools, ...this.#dropping.values()]);
    this.#redis?.disconnect();
    await this.#embedded?.stop();
    this.#registry?.close();
    this.#left = own.flatMap((pool) => pool.left);
    if (this.#lock && this.#left.length > 0) writeAgentLeft(this.#stateDirectory, this.#left);
    this.#lock?.release();
    if (this.#left.length === 0) this.#log.info('agent stopped');
    else this.#log.warn({ left: this.#left }, 'agent stopped; these do not answer');
  }

  #watchRedis(redis: Redis): void {
    let away = false;
    redis.on('ready', () => {
      if (away) this.#log.info('Redis is back');
      away = false;
      // It may have come back empty.
      this.#lookCount = 0;
    });
    redis.on('close', () => {
      if (!away && !this.#stopping) this.#log.warn('Redis is away; queued work waits for it');
      away = true;
    });
  }

  #lookOn(): void {
    this.#timer = setTimeout(() => {
      this.#startLook();
      this.#lookOn();
    }, untilBeat(LOOK_EVERY_MS));
  }

  /** One look at a time: while Redis is away one waits in the middle. */
  #startLook(): void {
    this.#looking ??= this.#look()
      .catch((cause) => this.#log.error({ error: String(cause) }, 'could not look for work'))
      .finally(() => {
        this.#looking = null;
      });
  }

  /** One look at what is wanted. A pool in trouble does not stop the others. */
  async #look(): Promise<void> {
    const due = this.#lookCount % SCHEDULE_EVERY_LOOKS === 0;
    this.#lookCount += 1;
    const registered = this.#registry?.all() ?? [];
    for (const pool of this.#pools.values()) {
      if (!registered.some((one) => same(one, pool.registered))) this.#drop(pool, 'not registered');
    }
    await Promise.all(registered.map((one) => this.#lookAt(one, due)));
  }

  async #lookAt(registered: RegisteredPool, due: boolean): Promise<void> {
    try {
      const pool = this.#pools.get(registered.poolId) ?? this.#take(registered);
      if (!pool) return;
      if (!pool.isThere()) return this.#drop(pool, 'it is not there any more');
      if (!pool.isOwner()) return this.#drop(pool, 'another agent took it over');
      if (this.#redis?.status !== 'ready') return;
      if (due) await pool.schedule();
      await pool.reconcile();
      this.#trouble(registered, null);
    } catch (cause) {
      this.#trouble(registered, asMaintenanceError(cause).message);
    }
  }

  #take(registered: RegisteredPool): AgentPool | null {
    const { poolId, path } = registered;
    if (!this.#redis || this.#stopping || this.#dropping.has(poolId)) return null;
    const pool = AgentPool.take(registered, this.#stateDirectory, this.#redis, this.#log);
    this.#standby.delete(poolId);
    if (!pool) {
      this.#standby.add(poolId);
      this.#trouble(registered, 'another agent works on this pool; standing by');
      return null;
    }
    this.#pools.set(poolId, pool);
    pool.startWorkers(this.#redis);
    void pool.schedule().catch(() => {});
    this.#log.info({ poolId, path }, 'pool taken');
    return pool;
  }

  /** Of the pools that are ours to work on. While Redis is away nobody says so of each pool again. */
  #poolStates(): { poolId: string; isUp: boolean }[] {
    return (this.#registry?.all() ?? [])
      .filter(({ poolId }) => !this.#standby.has(poolId))
      .map(({ poolId }) => ({
        poolId,
        isUp: this.#pools.has(poolId) && !this.#troubles.has(poolId),
      }));
  }

  /** Does not wait for the extent under way: it may be on a disk that does not answer. */
  #drop(pool: AgentPool, reason: string): void {
    const { poolId, path } = pool.registered;
    this.#pools.delete(poolId);
    this.#log.warn({ poolId, path, reason }, 'pool let go');
    const gone = pool
      .close()
      .catch((cause) => this.#log.warn({ poolId, error: String(cause) }, 'pool not closed'))
      .finally(() => this.#dropping.delete(poolId));
    this.#dropping.set(poolId, gone);
  }

  /** Said once per change, not once a second. */
  #trouble(pool: RegisteredPool, message: string | null): void {
    const { poolId, path } = pool;
    if ((this.#troubles.get(poolId) ?? null) === message) return;
    if (message === null) {
      this.#troubles.delete(poolId);
      this.#log.info({ poolId, path }, 'pool can be worked on again');
    } else {
      this.#troubles.set(poolId, message);
      this.#log.warn({ poolId, path, trouble: message }, 'pool cannot be worked on');
    }
  }
}

function same(a: RegisteredPool, b: RegisteredPool): boolean {
  return a.poolId === b.poolId && a.path === b.path;
}
