/** Turns what a task throws into data: a rejection would lose its code on the way back. */

import { asMaintenanceError } from '../src/domain/errors.js';
import type { TaskReply } from '../src/domain/tasks.js';

export function settle<T>(task: () => T): TaskReply<T> {
  try {
    return { ok: true, value: task() };
  } catch (cause) {
    return { ok: false, error: asMaintenanceError(cause).toWire() };
  }
}
