/** Asks smartctl(8) for what a drive says of itself, where it is installed. */

import { execFile } from 'node:child_process';
import { type DriveReport, parseSmartctl } from '../domain/drive-health.js';

/** A drive that sleeps or hangs must not keep anybody. */
const TIMEOUT_MS = 20_000;
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Never rejects: whatever goes wrong is why nothing is known. A drive in standby is not woken.
 *
 * Source: smartctl(8): its exit status is a set of bits, and JSON is printed all the same.
 */
export function readDrive(devicePath: string): Promise<DriveReport> {
  const args = ['--json', '--info', '--health', '--attributes', '--nocheck=standby', devicePath];
  const options = { timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX };
  return new Promise((resolve) => {
    execFile('smartctl', args, options, (cause, stdout) => {
      if (stdout.trim() !== '') resolve(parseSmartctl(stdout));
      else resolve({ kind: 'unknown', reason: whyNot(cause) });
    });
  });
}

function whyNot(cause: Error | null): string {
  if (cause && 'code' in cause && cause.code === 'ENOENT') return 'smartctl is not installed';
  return cause ? `smartctl failed: ${cause.message.split('\n')[0]}` : 'smartctl printed nothing';
}
