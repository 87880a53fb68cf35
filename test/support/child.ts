/** Processes for tests that must see one die: locks, crashes. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { buildSync } from 'esbuild';
import { packageRoot } from '../../src/kernel/package-root.js';

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** All that it printed. */
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Starts a TypeScript program; its imports are relative to the root of the repository.
 *
 * Bundled, since Node runs no TypeScript, and handed over on stdin, so that it finds the package's
 * root, and with it the addon, from the working directory.
 */
export function spawnTypeScript(
  source: string,
  env: NodeJS.ProcessEnv = {},
  options: Pick<SpawnOptions, 'detached' | 'stdio'> = { stdio: 'pipe' },
): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '-'], {
    cwd: packageRoot(),
    env: { ...process.env, ...env },
    ...options,
  });
  child.stdin?.end(bundleOf(source));
  return child;
}

/** Many tests start the same program again and again. */
const bundles = new Map<string, string>();

function bundleOf(source: string): string {
  const known = bundles.get(source);
  if (known !== undefined) return known;
  const { outputFiles } = buildSync({
    stdin: { contents: source, resolveDir: packageRoot(), loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
  });
  const bundle = outputFiles[0]?.text ?? '';
  bundles.set(source, bundle);
  return bundle;
}

/** Runs one to its end. */
export async function runTypeScript(source: string, env?: NodeJS.ProcessEnv): Promise<ChildEnd> {
  const child = spawnTypeScript(source, env);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await once(child, 'close');
  return { code: child.exitCode, signal: child.signalCode, stdout, stderr };
}

/** Waits until the program prints its first line, and returns what it printed so far. */
export async function firstOutput(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the child has no stdout');
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer | string];
  return chunk.toString().trim();
}

/** Kills it as a power cut would, and waits until the kernel has cleaned up after it. */
export async function killHard(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}
