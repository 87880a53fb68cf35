/** The agent's log: one JSON line per event on standard output, which the background agent keeps in a file. */

import { type Logger, pino } from 'pino';

export type Log = Pick<Logger, 'info' | 'warn' | 'error'>;

export function createLog(): Logger {
  return pino({
    name: 'dynamicfs',
    level: process.env.DYNAMICFS_LOG_LEVEL ?? 'info',
    timestamp: pino.stdTimeFunctions.isoTime,
    base: { pid: process.pid },
  });
}
