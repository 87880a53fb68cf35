/** A file system in an image file of the demo's directory, on a loop device of its own, mounted. */

import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';

export const FS_TYPES = ['ext4', 'xfs', 'btrfs'] as const;
export type FsType = (typeof FS_TYPES)[number];

/** Sparse: only what is written takes room on the host. */
const IMAGE_BYTES = 768 * 1024 ** 2;

const MAKE: Readonly<Record<FsType, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
};

export class MountedImage implements Disposable {
  readonly imagePath: string;
  readonly mountPath: string;
  readonly devicePath: string;
  #isMounted = false;
  /** Before the demo's directory is removed, whatever ends it. */
  readonly #onSignal = () => this[Symbol.dispose]();

  constructor(directory: string, type: FsType) {
    this.imagePath = join(directory, `${type}.img`);
    this.mountPath = join(directory, type);
    mkdirSync(this.mountPath);
    const fd = openSync(this.imagePath, 'w');
    ftruncateSync(fd, IMAGE_BYTES);
    closeSync(fd);
    const attached = run('losetup', '--find', '--show', '--direct-io=on', this.imagePath);
    this.devicePath = attached.trim();
    process.prependOnceListener('SIGINT', this.#onSignal);
    process.prependOnceListener('SIGTERM', this.#onSignal);
    try {
      const [program = '', ...args] = MAKE[type];
      run(program, ...args, this.devicePath);
      // Btrfs discards by itself unless told not to, and then there is nothing left to trim.
      run('mount', '-t', type, '-o', 'nodiscard', this.devicePath, this.mountPath);
      this.#isMounted = true;
    } catch (cause) {
      this[Symbol.dispose]();
      throw cause;
    }
  }

  /** Unmounts and detaches; the image goes with the demo's directory. */
  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
    if (this.#isMounted) run('umount', this.mountPath);
    this.#isMounted = false;
    run('losetup', '--detach', this.devicePath);
  }
}

/** @throws Error with what the program said. */
function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
