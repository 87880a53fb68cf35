/** Piscina task: the free space of a mount by size. */

import type { FreeSpaceTask } from '../src/domain/file-scan.js';
import { scanFreeSpace } from '../src/kernel/scan.js';
import { settle } from './settle.js';

export default (task: FreeSpaceTask) => settle(() => scanFreeSpace(task));
