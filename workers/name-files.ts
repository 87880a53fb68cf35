/** Piscina task: find the paths of some files, by all directories of their mount if it must be. */

import type { NameFilesTask } from '../src/domain/move-tasks.js';
import { openMount } from '../src/kernel/donor-directory.js';
import { nameFiles } from '../src/kernel/file-names.js';
import { settle } from './settle.js';

export default (task: NameFilesTask) =>
  settle(() => {
    using mount = openMount(task);
    return nameFiles(mount.path, task.handles, task.control);
  });
