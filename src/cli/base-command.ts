/**
 * What every command shares: `--pool`, `--json`, and how an error is shown and becomes an exit code.
 */

import { Command, Flags } from '@oclif/core';
import { asMaintenanceError, type WireError } from '../domain/errors.js';

/** The pool to work on. */
export const poolFlag = Flags.string({
  char: 'p',
  summary: 'Directory of the pool.',
  env: 'DYNAMICFS_POOL',
  required: true,
  helpValue: 'PATH',
});

export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;

  /** Notes for people: kept off standard output, which carries the data. */
  protected note(message: string): void {
    if (!this.jsonEnabled()) process.stderr.write(`${message}\n`);
  }

  protected override async catch(cause: Error & { oclif?: { exit?: number } }): Promise<void> {
    const isUsage = cause.oclif?.exit !== undefined && !('code' in cause && isOurs(cause.code));
    if (isUsage && cause.oclif?.exit === 0) throw cause;
    const error = asMaintenanceError(cause);
    const exitCode = isUsage ? (cause.oclif?.exit ?? 2) : error.exitCode;
    const wire: WireError = isUsage ? usageError(cause) : error.toWire();
    process.exitCode = exitCode;
    if (this.jsonEnabled()) this.logJson({ error: wire });
    else process.stderr.write(describeError(wire));
  }
}

function isOurs(code: unknown): boolean {
  return typeof code === 'string' && code.startsWith('ERR_');
}

/** What the command line parser found wrong. */
function usageError(cause: Error): WireError {
  const [message = cause.message] = cause.message.split('\nSee more help');
  return {
    code: 'ERR_USAGE',
    message: message.trim(),
    nextStep: 'Run the command with --help.',
    details: {},
  };
}

function describeError(error: WireError): string {
  const next = error.nextStep === null ? '' : `  Next: ${error.nextStep}\n`;
  return `Error: ${error.message}\n${next}  Code: ${error.code}\n`;
}

/** For reports over many targets: the exit code that says how many failed. */
export function exitCodeOf(doneCount: number, failedCount: number): number {
  if (failedCount === 0) return 0;
  return doneCount === 0 ? 32 : 64;
}
