/** The number of a device as the kernel writes it in names. */

/**
 * @param deviceNumber `st_dev` or `st_rdev`.
 * @returns `major:minor`.
 *
 * Source: makedev(3).
 */
export function deviceName(deviceNumber: number): string {
  const device = BigInt(deviceNumber);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffff_ff00n);
  return `${major}:${minor}`;
}
