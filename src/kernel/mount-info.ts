/**
 * Which mount holds a path, and which block devices lie under it.
 *
 * The kernel is asked for the mount's id, so that bind mounts, mounts over mounts and symbolic links
 * need no guess: comparing paths, as df does, takes the wrong one where mounts cover each other.
 */

import { closeSync, openSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MaintenanceError } from '../domain/errors.js';
import {
  type BlockDevice,
  type DetectedMount,
  fsTypeOf,
  type MountEntry,
} from '../domain/mounts.js';
import { fromNodeError } from './kernel-error.js';

/** Not in Node's constants; the same on every architecture that Node 20 runs on. Source: open(2). */
const O_PATH = 0o10000000;

/** Where /proc and /sys are: tests bring recorded trees. */
export interface KernelTrees {
  readonly procPath: string;
  readonly sysPath: string;
}
export const LIVE_TREES: KernelTrees = { procPath: '/proc', sysPath: '/sys' };

/**
 * Finds the mount that holds a path, with its devices. Symbolic links in `path` are followed.
 *
 * @throws KernelCallError ERR_TARGET_NOT_FOUND when there is no such path.
 * @throws MaintenanceError ERR_UNSUPPORTED when the mount cannot be named in UTF-8.
 */
export function detectMount(path: string, trees: KernelTrees = LIVE_TREES): DetectedMount {
  const entry = mountOf(path, trees);
  if (!entry.isPathExact) {
    throw new MaintenanceError('ERR_UNSUPPORTED', `${path} is on a mount whose name is not UTF-8`, {
      nextStep: 'Mount the file system a second time (mount --bind) under a name in UTF-8.',
    });
  }
  return describeMount(entry, trees);
}

/** @throws KernelCallError ERR_TARGET_NOT_FOUND when there is no such path, or its mount is hidden. */
export function mountOf(path: string, trees: KernelTrees = LIVE_TREES): MountEntry {
  const mountId = mountIdOf(path);
  const entry = readMounts(trees).find((mount) => mount.mountId === mountId);
  if (entry) return entry;
  throw new MaintenanceError('ERR_TARGET_NOT_FOUND', `the mount of ${path} is not visible here`, {
    nextStep:
      'It lies outside this root directory or mount namespace: run dynamicfs outside of it.',
  });
}

/**
 * What ext4 shows after an error or a shutdown, beside `rw`, since nobody remounted it.
 *
 * Source: fs/ext4/super.c (_ext4_show_options), Linux 6.15.
 */
const STOPPED_OPTIONS: ReadonlySet<string> = new Set(['emergency_ro', 'shutdown']);

/** Adds the devices to a line of mountinfo. */
export function describeMount(entry: MountEntry, trees: KernelTrees = LIVE_TREES): DetectedMount {
  const fsType = fsTypeOf(entry.typeName);
  const members = fsType === 'btrfs' ? btrfsMembers(entry, trees) : null;
  const devices = members?.devices ?? deviceByNumber(entry, trees);
  const stopped = entry.superOptions.some((option) => STOPPED_OPTIONS.has(option));
  return {
    entry,
    fsType,
    isReadOnly: entry.options.includes('ro') || stopped || entry.superOptions.includes('ro'),
    // Whoever mounts or remounts it read-only has it in both.
    hasFailed: stopped || (entry.superOptions.includes('ro') && !entry.options.includes('ro')),
    isWhole: entry.root === '/',
    devices,
    sysfsName: members?.uuid ?? (fsType === 'other' ? null : (devices[0]?.name ?? null)),
  };
}

/** @returns the mounts that this process sees, in the order in which they were made. */
export function readMounts(trees: KernelTrees = LIVE_TREES): readonly MountEntry[] {
  const text = readFileSync(join(trees.procPath, 'self/mountinfo'), 'latin1');
  if (text !== lastRead.text) lastRead = { text, entries: parseMountInfo(text) };
  return lastRead.entries;
}

/** An agent looks at its mounts each second, and they hardly ever change. */
let lastRead: { text: string; entries: readonly MountEntry[] } = { text: '', entries: [] };

/**
 * @param text one character per byte (latin1), since names need not be UTF-8.
 *
 * Source: proc(5): optional fields end at a single hyphen; space, tab, newline, backslash and hash
 * are written as a backslash and three octal digits.
 */
export function parseMountInfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const hyphen = fields.indexOf('-', 6);
    const [mountId, parentId, device, root, mountPath, options] = fields;
    if (hyphen < 0 || device === undefined || mountPath === undefined) continue;
    const [deviceMajor, deviceMinor] = device.split(':').map(Number);
    const decodedPath = decode(mountPath);
    entries.push({
      mountId: Number(mountId),
      parentId: Number(parentId),
      deviceMajor: deviceMajor ?? 0,
      deviceMinor: deviceMinor ?? 0,
      root: decode(root ?? '/').text,
      mountPath: decodedPath.text,
      isPathExact: decodedPath.isExact,
      options: splitOptions(options),
      typeName: decode(fields[hyphen + 1] ?? '').text,
      source: decode(fields[hyphen + 2] ?? '').text,
      superOptions: splitOptions(fields[hyphen + 3]),
    });
  }
  return entries;
}

function splitOptions(field: string | undefined): string[] {
  if (field === undefined || field === '') return [];
  return field.split(',').map((option) => decode(option).text);
}

function decode(field: string): { readonly text: string; readonly isExact: boolean } {
  const bytes = Buffer.from(
    field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    'latin1',
  );
  const text = bytes.toString('utf8');
  return { text, isExact: Buffer.from(text, 'utf8').equals(bytes) };
}

/** O_PATH opens nothing: no device is started, no pipe waits, and no permission to read is needed. */
function mountIdOf(path: string): number {
  let fd: number;
  try {
    fd = openSync(path, O_PATH);
  } catch (cause) {
    throw fromNodeError('open', cause, path);
  }
  try {
    return mountIdOfOpen(fd);
  } finally {
    closeSync(fd);
  }
}

/** Source: proc(5), /proc/pid/fdinfo. */
export function mountIdOfOpen(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
  return Number(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1]);
}

function deviceByNumber(entry: MountEntry, trees: KernelTrees): BlockDevice[] {
  const link = join(trees.sysPath, 'dev/block', `${entry.deviceMajor}:${entry.deviceMinor}`);
  const name = resolvedName(link);
  return name === null ? [] : [blockDevice(name)];
}

/**
 * The members of a mounted Btrfs: mountinfo shows an anonymous number and one member's path only.
 *
 * Source: Documentation/ABI: /sys/fs/btrfs/<uuid>/devices holds a link to each member.
 */
function btrfsMembers(
  entry: MountEntry,
  trees: KernelTrees,
): { readonly uuid: string; readonly devices: BlockDevice[] } | null {
  const sourceName = nameOfSource(entry.source, trees);
  const directory = join(trees.sysPath, 'fs/btrfs');
  for (const uuid of namesIn(directory)) {
    const members = namesIn(join(directory, uuid, 'devices')).map(blockDevice);
    if (members.some(({ name }) => name === sourceName)) return { uuid, devices: members };
  }
  return null;
}

/** `/dev/mapper/data` → `dm-0`, by its number where the device node is there, else by its name. */
function nameOfSource(source: string, trees: KernelTrees): string | null {
  try {
    const { rdev } = statSync(source);
    const name = resolvedName(
      join(trees.sysPath, 'dev/block', `${majorOf(rdev)}:${minorOf(rdev)}`),
    );
    if (name !== null) return name;
  } catch {
    // A container may show a mount without its device node.
  }
  return source.startsWith('/dev/') ? sysfsName(source.slice('/dev/'.length)) : null;
}

/** Source: gnu_dev_major and gnu_dev_minor of makedev(3), for numbers of 32 bits. */
export function majorOf(deviceNumber: number): number {
  return (deviceNumber >>> 8) & 0xfff;
}
export function minorOf(deviceNumber: number): number {
  return (deviceNumber & 0xff) | ((deviceNumber >>> 12) & 0xfff00);
}

function blockDevice(name: string): BlockDevice {
  return { name, path: `/dev/${name.replaceAll('!', '/')}` };
}

/** sysfs cannot have a slash in a name: `cciss/c0d0` is `cciss!c0d0` there. */
function sysfsName(deviceName: string): string {
  return deviceName.replaceAll('/', '!');
}

function resolvedName(link: string): string | null {
  try {
    return basename(realpathSync(link));
  } catch {
    return null;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
