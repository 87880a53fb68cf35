/**
 * The daemon: one per state directory. It wires everything and decides nothing; what is wanted is in
 * SQLite, and how to do it is in the processors.
 *
 *   starting → serving → draining → stopped
 *   SIGTERM or SIGINT drains: extents and discards under way are finished, nothing new begins.
 */

import type { Redis } from 'ioredis';
import type { AgentInfo } from '../domain/agent-info.js';
import { asMaintenanceError, MaintenanceError } from '../domain/errors.js';
import { createHttpServer, type HttpServer } from '../http/server.js';
import { lockAgent, removeAgentFile, writeAgentFile } from '../kernel/agent-file.js';
import type { FileLock } from '../kernel/file-lock.js';
import { packageVersion } from '../kernel/package-root.js';
import { makeStateDirectory } from '../kernel/state-directory.js';
import { createLog, type Log } from '../observability/log.js';
import { connectWorker, describeTarget, redisTarget } from '../queue/connection.js';
import { EmbeddedRedis } from '../queue/embedded-redis.js';
import { type RegisteredPool, Registry } from '../store/registry.js';
import { AgentPool } from './agent-pool.js';

/** How soon a new pool, a new run or a resumed one is noticed without a job in Redis. */
const LOOK_EVERY_MS = 1_000;
/** How often schedules and rates are set again, in case Redis was emptied under us. */
const SCHEDULE_EVERY_LOOKS = 15;

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
  readonly #troubles = new Map<string, string>();
  #lock: FileLock | null = null;
  #embedded: EmbeddedRedis | null = null;
  #redis: Redis | null = null;
  #registry: Registry | null = null;
  #http: HttpServer | null = null;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();
  #lookCount = 0;
  #stopping: Promise<void> | null = null;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** @throws MaintenanceError ERR_TARGET_BUSY when an agent runs here already, ERR_QUEUE. */
  async start(): Promise<AgentInfo> {
    this.#lock = lockAgent(this.#stateDirectory);
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
    const target = redisTarget(this.#stateDirectory);
    if (target.kind === 'embedded') {
      this.#embedded = new EmbeddedRedis(this.#stateDirectory, (event) => this.#log.warn(event));
      await this.#embedded.start();
    }
    this.#redis = connectWorker(target);
    this.#redis.on('ready', () => {
      // Redis may come back empty.
      this.#lookCount = 0;
    });
    this.#registry = new Registry(this.#stateDirectory);
    if (this.#options.httpAddress !== null) {
      this.#http = await createHttpServer({
        address: this.#options.httpAddress,
        anyPort: this.#options.httpAnyPort,
        token: process.env.DYNAMICFS_HTTP_TOKEN ?? null,
        pools: () => [...this.#pools.values()],
        redis: this.#redis,
      });
    }
    await this.#look();
    this.#timer = setInterval(() => {
      this.#looking = this.#looking.then(() => this.#look());
    }, LOOK_EVERY_MS);
    const info: AgentInfo = {
      pid: process.pid,
      version: packageVersion(),
      startedAtMs: Date.now(),
      httpUrl: this.#http?.url ?? null,
      redis: describeTarget(target),
    };
    writeAgentFile(this.#stateDirectory, info);
    this.#log.info({ ...info, stateDirectory: this.#stateDirectory }, 'agent ready');
    return info;
  }

  /** Drains and stops; a second call waits for the first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await this.#looking;
    removeAgentFile(this.#stateDirectory);
    await this.#http?.close();
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
    this.#redis?.disconnect();
    await this.#embedded?.stop();
    this.#registry?.close();
    this.#lock?.release();
    this.#log.info('agent stopped');
  }

  /** One look at what is wanted. Never throws: a pool in trouble must not stop the others. */
  async #look(): Promise<void> {
    const due = this.#lookCount % SCHEDULE_EVERY_LOOKS === 0;
    this.#lookCount += 1;
    const registered = this.#registry?.all() ?? [];
    for (const pool of this.#pools.values()) {
      const stillThere = registered.some((one) => same(one, pool.registered));
      if (!stillThere || !pool.isOwner()) await this.#drop(pool);
    }
    for (const one of registered) {
      try {
        const pool = this.#pools.get(one.poolId) ?? this.#take(one);
        if (!pool) continue;
        if (this.#redis?.status !== 'ready') continue;
        if (due) await pool.schedule();
        await pool.reconcile();
        this.#trouble(one, null);
      } catch (cause) {
        this.#trouble(one, asMaintenanceError(cause).message);
      }
    }
  }

  #take(registered: RegisteredPool): AgentPool | null {
    if (!this.#redis) return null;
    const pool = AgentPool.take(registered, this.#redis, this.#log);
    if (!pool) {
      this.#trouble(registered, 'another agent works on this pool; standing by');
      return null;
    }
    this.#pools.set(registered.poolId, pool);
    pool.startWorkers(this.#redis);
    this.#lookCount = 1;
    void pool.schedule().catch(() => {});
    this.#log.info({ poolId: registered.poolId, path: registered.path }, 'pool taken');
    return pool;
  }

  async #drop(pool: AgentPool): Promise<void> {
    this.#pools.delete(pool.registered.poolId);
    await pool.close();
    this.#log.warn({ poolId: pool.registered.poolId }, 'pool let go');
  }

  /** Said once per change, not once a second. */
  #trouble(pool: RegisteredPool, message: string | null): void {
    const { poolId, path } = pool;
    if ((this.#troubles.get(poolId) ?? null) === message) return;
    if (message === null) this.#troubles.delete(poolId);
    else {
      this.#troubles.set(poolId, message);
      this.#log.warn({ poolId, path, trouble: message }, 'pool cannot be worked on');
    }
  }
}

function same(a: RegisteredPool, b: RegisteredPool): boolean {
  return a.poolId === b.poolId && a.path === b.path;
}
