/** Loaded into a command with `--import`: writes down the most memory it held, in bytes, at its end. */

import { readFileSync, writeFileSync } from 'node:fs';

process.on('exit', () => {
  const status = readFileSync('/proc/self/status', 'utf8');
  const peakBytes = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  writeFileSync(process.env.DYNAMICFS_BENCH_MEMORY_FILE ?? '/dev/null', String(peakBytes));
});
