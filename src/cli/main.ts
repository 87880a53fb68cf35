/** Finds the command, runs it and prints what it throws. bin/run.js calls this and nothing else. */

import { Config, run, settings } from '@oclif/core';
import type { WireError } from '../domain/errors.js';
import { endProcess, leftBehind } from '../kernel/end-process.js';
import { packageRoot } from '../kernel/package-root.js';
import { nearest } from './nearest.js';
import { printable } from './printable.js';
import {
  errorJson,
  errorText,
  exitCodeOfError,
  isCleanExit,
  type ThrownByParser,
  wireErrorOf,
} from './report-error.js';

/** Sets the exit code itself; when this returns, the command has ended. */
export async function runCommandLine(args: string[]): Promise<void> {
  await runAndReport(args);
  const [path] = leftBehind();
  if (path !== undefined) await endLeaving(path, args.includes('--json'));
}

/** Nothing else ends a process of which a thread waits for a disk that hangs. */
async function endLeaving(path: string, isQuiet: boolean): Promise<never> {
  const exitCode = Number(process.exitCode ?? 0);
  // A command that failed has said so.
  if (exitCode === 0 && !isQuiet) {
    process.stderr.write(`${printable(path)} does not answer; done without it\n`);
  }
  await Promise.all([process.stdout, process.stderr].map(flushed));
  return endProcess(exitCode);
}

/** Until what is for a pipe is in it, or whoever reads it has gone. */
async function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength === 0) return;
  await new Promise<void>((resolve) => stream.write('', () => resolve()));
}

async function runAndReport(args: string[]): Promise<void> {
  // oclif would look for the TypeScript sources of the commands when NODE_ENV is test.
  settings.enableAutoTranspile = false;
  const options = { root: packageRoot(), devPlugins: false, userPlugins: false };
  try {
    await run(args, options);
  } catch (cause) {
    // Commands report their own errors; what comes here is oclif's, for example an unknown command.
    const thrown = cause as Error & ThrownByParser;
    if (isCleanExit(thrown)) return;
    const error = wireErrorOf(thrown);
    const shown =
      error.code === 'ERR_USAGE' ? unknownCommand(error, await Config.load(options)) : error;
    process.exitCode = exitCodeOfError(shown);
    if (args.includes('--json'))
      process.stdout.write(`${JSON.stringify(errorJson(shown), null, 2)}\n`);
    else process.stderr.write(errorText(shown));
  }
}

function unknownCommand(error: WireError, config: Config): WireError {
  const id = /^command (\S+) not found$/.exec(error.message)?.[1];
  if (id === undefined) return error;
  const asked = id.replaceAll(':', ' ');
  const ids = config.commands.flatMap((command) => [
    command.id.replaceAll(':', ' '),
    ...command.hiddenAliases,
  ]);
  // oclif takes what follows a command that has no arguments for a part of its name.
  const command = ids.find((known) => asked.startsWith(`${known} `));
  if (command !== undefined) {
    return {
      ...error,
      message: `Unexpected argument: ${asked.slice(command.length + 1)}`,
      nextStep: `See \`dynamicfs ${command} --help\`.`,
    };
  }
  const meant = nearest(asked, ids);
  return {
    ...error,
    message: `unknown command: ${asked}`,
    nextStep: `${meant === null ? '' : `Did you mean \`${meant}\`? `}See \`dynamicfs --help\`.`,
  };
}
