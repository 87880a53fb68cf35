/** The paths of files of which only the handle is known: for people, who cannot do with that. */

import { kernelAddon } from './addon.js';

/**
 * The thread is busy until each was found or all directories of the mount were listed.
 *
 * @param control as that of a scan, which ends it.
 * @returns one for each handle; null where none was found. What is no text in it is replaced.
 */
export function nameFiles(
  mountPath: string,
  handles: readonly string[],
  control: Int32Array<SharedArrayBuffer> | null,
): (string | null)[] {
  const { paths } = kernelAddon().nameFiles({ mountPath, handles: [...handles], control });
  const prefix = mountPath === '/' ? '/' : `${mountPath}/`;
  return paths.map((hex) => (hex === '' ? null : prefix + Buffer.from(hex, 'hex').toString()));
}
