/**
 * What every command shares: `--pool`, `--json`, and how an error is shown and becomes an exit code.
 */

import { Command, Flags } from '@oclif/core';
import type { WireError } from '../domain/errors.js';
import { printable } from './printable.js';
import {
  errorJson,
  errorText,
  exitCodeOfError,
  isCleanExit,
  type ThrownByParser,
  wireErrorOf,
} from './report-error.js';
import type { RunView } from './schemas.js';

/** The pool to work on. */
export const poolFlag = Flags.string({
  char: 'p',
  summary: 'Directory of the pool, or where a file system is mounted.',
  env: 'DYNAMICFS_POOL',
  required: true,
  helpValue: 'PATH',
});

export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;

  /** Notes for people: kept off standard output, which carries the data. */
  protected note(message: string): void {
    if (!this.jsonEnabled()) process.stderr.write(`${printable(message)}\n`);
  }

  /** An error that a result carries: what is wrong and what to do, beside what was done. */
  protected noteError(error: WireError | null): void {
    if (!error) return;
    this.note(`Error: ${error.message}`);
    if (error.nextStep !== null) this.note(`  Next: ${error.nextStep}`);
  }

  /** What failed of many, each with its reason; what to do about it is said once. */
  protected noteFailures(failed: readonly { name: string; error: WireError }[]): void {
    for (const { name, error } of failed) this.note(`Failed ${name}: ${error.message}`);
    for (const step of new Set(failed.map(({ error }) => error.nextStep))) {
      if (step !== null) this.note(`  Next: ${step}`);
    }
  }

  protected override async catch(cause: Error & ThrownByParser): Promise<void> {
    if (isCleanExit(cause)) throw cause;
    // oclif warns of a command that did not parse; this one tried.
    this.parsed = true;
    const error = wireErrorOf(cause);
    process.exitCode = exitCodeOfError(error);
    if (this.jsonEnabled()) this.logJson(errorJson(error));
    else process.stderr.write(errorText(error));
  }
}

/** Of a run that was waited for. What was left alone did not fail. */
export function exitCodeOfRun(
  run: Pick<RunView, 'state' | 'error' | 'doneCount' | 'skippedCount' | 'failedCount'>,
): number {
  if (run.state === 'failed') return run.error ? exitCodeOfError(run.error) : 1;
  return exitCodeOf(run.doneCount + run.skippedCount, run.failedCount);
}

/** For reports over many targets: the exit code that says how many failed. */
export function exitCodeOf(doneCount: number, failedCount: number): number {
  if (failedCount === 0) return 0;
  return doneCount === 0 ? 32 : 64;
}
