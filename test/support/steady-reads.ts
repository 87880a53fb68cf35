/** Another program at work on a file system: it reads past the page cache until it is disposed of. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Two at a time, one read after the other: the device always has one, unless others have the processor.
 * So they go before others there, where they may: a program that rests for want of it is not at work.
 */
const SCRIPT = `renice -n -10 -p $$ > /dev/null 2>&1
read_it() { while :; do dd if="$0" of=/dev/null bs=4k iflag=direct status=none; done; }
read_it & read_it`;

/** Writes what is read: what is only allocated would be no read. */
export function makeReadable(path: string, sizeMib = 32): void {
  execFileSync('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${sizeMib}`, 'conv=fsync'], {
    stdio: 'pipe',
  });
}

export class SteadyReads implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(path: string) {
    // A group of its own, so that the programs under way end with the shell.
    this.#child = spawn('bash', ['--norc', '-c', SCRIPT, path], {
      stdio: 'ignore',
      detached: true,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    process.kill(-pid, 'SIGKILL');
    await ended;
  }
}
