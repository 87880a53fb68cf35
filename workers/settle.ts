/** Turns what a task throws into data: a rejection would lose its code on the way back. */

import { asMaintenanceError } from '../src/domain/errors.js';
import type { TaskReply } from '../src/domain/tasks.js';

export async function settle<T>(task: () => T | Promise<T>): Promise<TaskReply<T>> {
  try {
    return { ok: true, value: await task() };
  } catch (cause) {
    return { ok: false, error: asMaintenanceError(cause).toWire() };
  }
}
