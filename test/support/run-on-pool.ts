/** A command that is looked at while it runs: what it says, and when it is gone. */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { spawnCommand } from './agent-process.js';

export interface CommandOnPool {
  readonly child: ChildProcess;
  /** When nothing more can come. */
  output(): Promise<Buffer>;
  stderr(): string;
  /** When the process is gone, which may be long after that. */
  exitCode(): Promise<number | null>;
}

export function runOnPool(poolPath: string, args: readonly string[]): CommandOnPool {
  const child = spawnCommand([...args, '--pool', poolPath], {}, 'pipe');
  const exited = once(child, 'exit');
  let stderr = '';
  const said = once(child.stderr as NodeJS.ReadableStream, 'close');
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return {
    child,
    output: async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of child.stdout ?? []) chunks.push(chunk);
      await said;
      return Buffer.concat(chunks);
    },
    stderr: () => stderr,
    exitCode: async () => {
      await exited;
      return child.exitCode;
    },
  };
}
