/** Runs the real command line, `node bin/run.js`, with a state directory of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'vitest';
import { OUTPUT_SCHEMAS, type Output } from '../../src/cli/schemas.js';
import type { WireError } from '../../src/domain/errors.js';
import { agentIsRunning } from '../../src/kernel/agent-file.js';
import { packageRoot } from '../../src/kernel/package-root.js';
import { memoryDirectory, tempDirectory } from './temp-directory.js';

export const RUN_JS = join(packageRoot(), 'bin', 'run.js');

export interface CliEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** What it reads from standard input; nothing by default. */
  readonly input?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** A node of its own: a state directory, and the agent that commands may start there. */
export class CliNode {
  readonly directory = tempDirectory('node');
  readonly stateDirectory = memoryDirectory('s');

  get env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      DYNAMICFS_STATE_DIR: this.stateDirectory,
      DYNAMICFS_HTTP: '127.0.0.1:0',
      // What the terminal of whoever runs the tests says must not matter.
      NODE_ENV: undefined,
      COLUMNS: undefined,
      NO_COLOR: undefined,
      FORCE_COLOR: undefined,
      DYNAMICFS_POOL: undefined,
    };
  }

  run(args: readonly string[], options: CliOptions = {}): Promise<CliEnd> {
    return this.program(process.execPath, [RUN_JS, ...args], options);
  }

  /** Another program in the same environment, for example a shell with a pipe. */
  async program(
    program: string,
    args: readonly string[],
    { input, env, cwd = this.directory }: CliOptions = {},
  ): Promise<CliEnd> {
    const child = spawn(program, args, { cwd, env: { ...this.env, ...env }, stdio: 'pipe' });
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        output[stream] += text;
      });
    }
    // A command that fails early does not read its input.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    await once(child, 'close');
    return { code: child.exitCode, signal: child.signalCode, ...output };
  }

  /** Runs a command that must succeed; returns what it printed. */
  async text(...args: string[]): Promise<string> {
    const end = await this.run(args);
    expect({ args, ...end }).toMatchObject({ code: 0 });
    return end.stdout;
  }

  /** Runs a command with `--json`; its output must fit its schema, with nothing left over. */
  async json<K extends keyof typeof OUTPUT_SCHEMAS>(
    id: K,
    args: readonly string[],
    code = 0,
  ): Promise<Output<K>> {
    const end = await this.run([...id.split(' '), ...args, '--json']);
    expect({ args, ...end }).toMatchObject({ code });
    return OUTPUT_SCHEMAS[id].parse(JSON.parse(end.stdout)) as Output<K>;
  }

  /** Runs a command that must fail, with and without `--json`; both must tell the same. */
  async failure(args: readonly string[], options: CliOptions = {}): Promise<CliFailure> {
    const text = await this.run(args, options);
    const json = await this.jsonFailure(args, options);
    expect(json.exitCode).toBe(text.code);
    expect(text.stdout).toBe('');
    expect(text.stderr).toContain(`  Code: ${json.code}\n`);
    if (json.nextStep !== null) expect(text.stderr).toContain('  Next: ');
    return { ...json, stderr: text.stderr };
  }

  /** As `failure`, with `--json` only: half the time where many fail alike. */
  async jsonFailure(args: readonly string[], options: CliOptions = {}): Promise<CliFailure> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], options);
    const { error } = OUTPUT_SCHEMAS.error.parse(JSON.parse(stdout));
    expect(stderr).toBe('');
    return { exitCode: code, stderr, ...(error as WireError) };
  }

  /** For afterAll: an agent that is left over is a leak. Where none runs, no command is started for it. */
  async stop(): Promise<void> {
    if (agentIsRunning(this.stateDirectory)) await this.run(['agent', 'stop']);
  }
}

/** What a command printed of an extent pool; of a mounted file system it prints other fields. */
export function ofExtents<T extends object>(output: T): Extract<T, { kind: 'extent' }> {
  expect(output).toMatchObject({ kind: 'extent' });
  return output as Extract<T, { kind: 'extent' }>;
}

export interface CliFailure extends WireError {
  readonly exitCode: number | null;
  readonly stderr: string;
}
