/** How an error is shown: for people on standard error, for scripts as `--json`, and as exit code. */

import { stripVTControlCharacters } from 'node:util';
import {
  asMaintenanceError,
  ERROR_KINDS,
  MaintenanceError,
  type WireError,
} from '../domain/errors.js';
import { printable, printableLines } from './printable.js';

/** What oclif throws: `oclif.exit` is set, and there is no code of ours. */
export interface ThrownByParser {
  readonly code?: unknown;
  readonly oclif?: { readonly exit?: number | undefined };
}

/** Whether oclif wants to end the command without an error, as `--help` does. */
export function isCleanExit(cause: ThrownByParser): boolean {
  return !isOurs(cause.code) && cause.oclif?.exit === 0;
}

/** @returns the error as data; what the command line parser found wrong is ERR_USAGE. */
export function wireErrorOf(cause: Error & ThrownByParser): WireError {
  const isUsage = isOurs(cause.code) ? cause.code === 'ERR_USAGE' : cause.oclif?.exit !== undefined;
  if (!isUsage) return asMaintenanceError(cause).toWire();
  const ours = isOurs(cause.code) ? asMaintenanceError(cause).toWire() : null;
  const message = usageMessage(cause.message);
  return {
    code: 'ERR_USAGE',
    message,
    nextStep: ours ? ours.nextStep : usageNextStep(message),
    details: ours?.details ?? {},
  };
}

export function exitCodeOfError({ code }: WireError): number {
  return ERROR_KINDS[code].exitCode;
}

export function errorText(error: WireError): string {
  const next = error.nextStep === null ? '' : `  Next: ${printable(error.nextStep)}\n`;
  return `Error: ${printableLines(error.message)}\n${next}  Code: ${error.code}\n`;
}

export function errorJson(error: WireError): { schemaVersion: 1; error: WireError } {
  return { schemaVersion: 1, error };
}

/** Where one thing was asked for, its error is the command's: its code says more than "all failed". */
export function throwOnlyFailure(
  doneCount: number,
  failed: readonly { readonly error: WireError }[],
): void {
  const [only] = failed;
  if (only && doneCount === 0 && failed.length === 1) throw MaintenanceError.fromWire(only.error);
}

function isOurs(code: unknown): boolean {
  return typeof code === 'string' && code.startsWith('ERR_');
}

/** Without the frame that oclif puts around a message, which differs from check to check. */
function usageMessage(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\nSee more help with --help/g, '')
    .replace(/^The following errors? occurred:\n\s*/, '')
    .replace(/^Parsing (--\S+) \n\t/, '$1: ')
    .replace(/^Missing \d+ required args?:\n(\S+)[\s\S]*/, 'Missing argument: $1')
    .trim();
}

function usageNextStep(message: string): string {
  return message.startsWith('Missing required flag pool')
    ? 'Name the pool with --pool PATH, or set DYNAMICFS_POOL.'
    : 'Run the command with --help.';
}
