/** A file system of its own on a loop device, to trim and to look into from outside. Root only. */

import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { tempDirectory } from './temp-directory.js';

export const canMount = process.getuid?.() === 0;

export interface LoopImageOptions {
  readonly sizeBytes: number;
  /** Instead of the defaults below. */
  readonly mkfs?: readonly string[];
  readonly mount?: string;
  /** Where to mount, below the test's directory. */
  readonly mountName?: string;
}

export type TestFsType = 'ext4' | 'xfs' | 'btrfs';

const MKFS: Readonly<Record<TestFsType, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-b', '4096', '-E', 'nodiscard,lazy_itable_init=0'],
  xfs: ['mkfs.xfs', '-q', '-f', '-K'],
  btrfs: ['mkfs.btrfs', '-q', '-f', '-K'],
};
/** Btrfs turns discard=async on by itself, and nothing would be left to trim. */
const MOUNT: Readonly<Record<TestFsType, string>> = {
  ext4: 'noatime',
  xfs: 'noatime',
  btrfs: 'noatime,nodiscard',
};

/** Detached, unmounted and forgotten with `using`; the leak guard removes the file. */
export class LoopImage implements Disposable {
  readonly imagePath: string;
  readonly mountPath: string;
  readonly device: string;
  #isMounted = false;

  constructor(
    readonly fsType: TestFsType,
    readonly options: LoopImageOptions,
  ) {
    const directory = tempDirectory(`loop-${fsType}`);
    this.imagePath = join(directory, 'image');
    this.mountPath = join(directory, options.mountName ?? 'mnt');
    mkdirSync(this.mountPath);
    const fd = openSync(this.imagePath, 'w');
    ftruncateSync(fd, options.sizeBytes);
    closeSync(fd);
    const [program = '', ...args] = options.mkfs ?? MKFS[fsType];
    run(program, ...args, this.imagePath);
    this.device = run('losetup', '--find', '--show', this.imagePath).trim();
    this.mount();
  }

  get deviceName(): string {
    return basename(this.device);
  }

  /** What the image holds on the disk of this machine. */
  allocatedBytes(): number {
    return statSync(this.imagePath).blocks * 512;
  }

  mount(options = this.options.mount ?? MOUNT[this.fsType]): void {
    run('mount', '-t', this.fsType, '-o', options, this.device, this.mountPath);
    this.#isMounted = true;
  }

  remount(options: string): void {
    run('mount', '-o', `remount,${options}`, this.mountPath);
  }

  unmount(): void {
    if (this.#isMounted) run('umount', this.mountPath);
    this.#isMounted = false;
  }

  [Symbol.dispose](): void {
    this.unmount();
    run('losetup', '--detach', this.device);
  }
}

/** @throws Error with what the program said. */
export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
