/** Whether an ext4 has a journal, which makes a flush of one file a flush of all moves before it. */

import { existsSync, fstatSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { deviceName } from './device-number.js';
import type { OpenFile } from './kernel-call.js';

/** Source: Documentation/ABI/testing/sysfs-fs-ext4, journal_task: only with a journal. */
export function ext4HasJournal(mount: OpenFile): boolean {
  const link = `/sys/dev/block/${deviceName(fstatSync(mount.fd).dev)}`;
  try {
    return existsSync(`/sys/fs/ext4/${basename(readlinkSync(link))}/journal_task`);
  } catch {
    return false;
  }
}
