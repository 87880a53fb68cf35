/** The demo's own corner of the machine: a temporary directory, a state directory, an agent. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
/** Of the free space of the temporary directory, the demo takes at most this. */
const FREE_SHARE_MAX = 0.5;
const DISK_BYTES_MIN = 192 * 1024 ** 2;
const BLOCK_BYTES = 4096;

export class DemoPlace implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'dynamicfs-demo-'));
  readonly poolPath = join(this.root, 'pool');
  readonly #environment = {
    ...process.env,
    DYNAMICFS_STATE_DIR: join(this.root, 'state'),
    DYNAMICFS_POOL: this.poolPath,
    DYNAMICFS_HTTP: '127.0.0.1:0',
    DYNAMICFS_REDIS_URL: '',
  };
  readonly #coloured = process.stdout.isTTY === true && !process.env.NO_COLOR;
  readonly #onSignal = () => {
    this[Symbol.dispose]();
    process.exit(130);
  };

  constructor() {
    process.once('SIGINT', this.#onSignal);
    process.once('SIGTERM', this.#onSignal);
    process.stdout.on('error', endAsIfTold);
  }

  disks(count: number): string[] {
    return Array.from({ length: count }, (_, index) => join(this.root, `disk${index + 1}`));
  }

  /** @throws Error when there is too little room for a demo that shows anything. */
  affordableDiskBytes(diskCount: number, bytesMax: number): number {
    const { bavail, bsize } = statfsSync(this.root);
    const share = (bavail * bsize * FREE_SHARE_MAX) / diskCount;
    const diskBytes = Math.floor(Math.min(bytesMax, share) / BLOCK_BYTES) * BLOCK_BYTES;
    if (diskBytes >= DISK_BYTES_MIN) return diskBytes;
    throw new Error(`too little space in ${this.root}: set TMPDIR to a place with 2 GB free`);
  }

  title(text: string): void {
    process.stdout.write(this.#coloured ? `\n\u001b[1m${text}\u001b[0m\n` : `\n== ${text}\n`);
  }

  say(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  /** Runs a command as a user would, and shows what was typed and what came back. */
  run(...args: string[]): void {
    this.say(`\n$ dynamicfs ${args.join(' ')}`);
    const { status, signal } = spawnSync(process.execPath, [PROGRAM, ...args], {
      env: this.#environment,
      stdio: 'inherit',
    });
    if (status !== 0) throw new Error(`dynamicfs ${args.join(' ')} ended with ${signal ?? status}`);
  }

  /** Stops the demo's agent, if it runs, and removes everything. */
  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
    process.stdout.off('error', endAsIfTold);
    spawnSync(process.execPath, [PROGRAM, 'agent', 'stop'], {
      env: this.#environment,
      stdio: 'ignore',
    });
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Nobody reads on, as behind `| head`: then what was made is removed as after a signal. */
function endAsIfTold(): void {
  process.kill(process.pid, 'SIGTERM');
}
