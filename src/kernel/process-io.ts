/** What the kernel says that devices did for this process, all threads of it. */

import { readFileSync } from 'node:fs';

/**
 * @returns bytes since the process began; what it wrote into the page cache counts as written, less
 *   what was dropped again before it was. Null where the kernel does not count.
 *
 * Source: proc(5), /proc/pid/io.
 */
export function processIo(): { readonly readBytes: number; readonly writtenBytes: number } | null {
  try {
    const text = readFileSync('/proc/self/io', 'utf8');
    const of = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
    const writtenBytes = of('write_bytes') - of('cancelled_write_bytes');
    return { readBytes: of('read_bytes'), writtenBytes: Math.max(0, writtenBytes) };
  } catch {
    return null;
  }
}
