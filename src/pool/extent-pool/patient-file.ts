/**
 * A file of a disk that no pool has yet, waited for as long as the disk answers.
 *
 * What is given up may still be done, late. That harms nobody: the device stays claimed, or the file exists,
 * until then, so that nobody else takes it for a disk.
 */

import { closeSync } from 'node:fs';
import { BoundedIo } from '../../kernel/bounded-io.js';
import { leaveBehind } from '../../kernel/end-process.js';
import type { OpenFile } from '../../kernel/kernel-call.js';
import { diskAnswers } from '../../kernel/probe-disk.js';
import { DOUBTS_AFTER_MS, diskTimeoutMs } from './disk-calls.js';

export interface PatientFile extends Disposable {
  readonly file: OpenFile;
  /** False while a call that was given up is under way. */
  readonly isAnswering: boolean;
}

/** @param letGo when nothing is under way on it any more; else it is closed then. */
export function patientFile(file: OpenFile, letGo = () => closeSync(file.fd)): PatientFile {
  const timeoutMs = diskTimeoutMs();
  const answers = () => diskAnswers(file.path, timeoutMs);
  const io = new BoundedIo(timeoutMs, { afterMs: DOUBTS_AFTER_MS, answers }, () => {});
  return {
    file: { ...file, io },
    get isAnswering() {
      return io.isAnswering;
    },
    [Symbol.dispose]: () => {
      if (!io.isAnswering) leaveBehind([file.path]);
      io.whenIdle(letGo);
      io.close(0);
    },
  };
}
