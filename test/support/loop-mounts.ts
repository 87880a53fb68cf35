/**
 * File systems on loop devices: an image under the test's temporary root, its device, its mount.
 *
 * Each is removed by the name it was made with, never by a search. What a killed test leaves is
 * found by the leak guard, as image and mount point lie under the root that it owns.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { tempDirectory } from './temp-directory.js';

export const LOOP_FS_TYPES = ['ext4', 'xfs', 'btrfs'] as const;
export type LoopFsType = (typeof LOOP_FS_TYPES)[number];

export interface LoopMountOptions {
  readonly sizeBytes?: number;
  readonly mkfsArgs?: readonly string[];
  /** For mount -o. */
  readonly mountOptions?: readonly string[];
  /** Several for a Btrfs of several devices. */
  readonly deviceCount?: number;
  /** Copies of an image with the same UUID: XFS then needs `nouuid`; Btrfs cannot have two. */
  readonly imagePath?: string;
}

const MIB = 1024 * 1024;
const BUSY_MS_MAX = 60_000;
const BUSY_RETRY_MS = 20;
/** XFS makes none below 300 MiB. Sparse: only what is written takes room. */
const DEFAULT_SIZE_BYTES = 512 * MIB;

const MKFS: Readonly<Record<LoopFsType, readonly string[]>> = {
  // No lazy initialisation, since its thread would write to the device while a test looks at it.
  ext4: ['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
};

/** Loop devices and mounts are root's alone. */
export const canMount = process.getuid?.() === 0;

/** A mounted file system; `using` unmounts and removes it. */
export class LoopMount implements Disposable {
  readonly fsType: LoopFsType;
  readonly mountPath: string;
  readonly imagePaths: readonly string[];
  readonly devicePaths: readonly string[];
  readonly #directory: string;
  #isMounted = false;
  #isAttached = true;

  constructor(fsType: LoopFsType, options: LoopMountOptions = {}) {
    const { sizeBytes = DEFAULT_SIZE_BYTES, mkfsArgs = [], deviceCount = 1 } = options;
    this.fsType = fsType;
    this.#directory = tempDirectory(`loop-${fsType}`);
    this.mountPath = join(this.#directory, 'mount');
    mkdirSync(this.mountPath);
    this.imagePaths = options.imagePath
      ? [options.imagePath]
      : Array.from({ length: deviceCount }, (_, index) => this.#makeImage(index, sizeBytes));
    this.devicePaths = this.imagePaths.map((path) => attachLoop(path));
    try {
      if (!options.imagePath) {
        const [program = '', ...args] = MKFS[fsType];
        run(program, [...args, ...mkfsArgs, ...this.devicePaths]);
      }
      this.mount(options.mountOptions);
    } catch (cause) {
      this.remove();
      throw cause;
    }
  }

  get devicePath(): string {
    return this.devicePaths[0] ?? '';
  }

  /** @returns the path of a file in the file system. */
  path(...names: readonly string[]): string {
    return join(this.mountPath, ...names);
  }

  mount(options: readonly string[] = []): void {
    const list = options.length > 0 ? ['-o', options.join(',')] : [];
    run('mount', ['-t', this.fsType, ...list, this.devicePath, this.mountPath]);
    this.#isMounted = true;
  }

  unmount(): void {
    run('umount', [this.mountPath]);
    this.#isMounted = false;
  }

  /** Empties what the mount holds in memory, and takes other options if there are any. */
  remount(options: readonly string[] = []): void {
    this.unmount();
    this.mount(options);
  }

  /** Unmounts, detaches and deletes; a second call does nothing. */
  remove(): void {
    if (this.#isMounted) this.#unmountInTime();
    if (!this.#isAttached) return;
    this.#isAttached = false;
    for (const device of this.devicePaths) run('losetup', ['--detach', device]);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  /** An agent, or whoever looks at new mounts, may have a file open at this moment. */
  #unmountInTime(): void {
    const endAtMs = performance.now() + BUSY_MS_MAX;
    for (;;) {
      try {
        this.unmount();
        return;
      } catch (cause) {
        if (performance.now() > endAtMs) throw cause;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_RETRY_MS);
      }
    }
  }

  #makeImage(index: number, sizeBytes: number): string {
    const path = join(this.#directory, `disk-${index}.img`);
    const fd = openSync(path, 'w');
    ftruncateSync(fd, sizeBytes);
    closeSync(fd);
    return path;
  }
}

/** @returns the device, which has the image for itself. */
export function attachLoop(imagePath: string, options: readonly string[] = []): string {
  return run('losetup', ['--find', '--show', '--direct-io=on', ...options, imagePath]).trim();
}

/** @throws Error with what the program said. */
export function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
