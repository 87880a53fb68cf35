/** A file system on a loop device for a benchmark: gone when it ends, however it ends. */

import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
// Before this file, so that its clean-up of directories comes after the one of mounts.
import './scratch.mjs';

const MKFS = {
  ext4: ['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
};

const mounts = new Set();
process.prependOnceListener('exit', () => {
  for (const mount of mounts) mount.remove();
});

export class LoopMount {
  #isMounted = false;

  /** @param directory holds the image, which is sparse, and the mount point. */
  constructor(directory, fsType, sizeBytes, mkfsArgs = []) {
    this.fsType = fsType;
    this.mountPath = join(directory, `${fsType}-mount`);
    const imagePath = join(directory, `${fsType}.img`);
    mkdirSync(this.mountPath);
    const fd = openSync(imagePath, 'w');
    ftruncateSync(fd, sizeBytes);
    closeSync(fd);
    this.devicePath = run('losetup', ['--find', '--show', '--direct-io=on', imagePath]).trim();
    mounts.add(this);
    const [program, ...args] = MKFS[fsType];
    run(program, [...args, ...mkfsArgs, this.devicePath]);
    this.#mount();
  }

  /** Empties what this file system holds in memory, and nobody else's. */
  remount() {
    this.#unmount();
    this.#mount();
  }

  remove() {
    if (this.#isMounted) this.#unmount();
    run('losetup', ['--detach', this.devicePath]);
    mounts.delete(this);
  }

  #mount() {
    run('mount', ['-t', this.fsType, this.devicePath, this.mountPath]);
    this.#isMounted = true;
  }

  #unmount() {
    run('umount', [this.mountPath]);
    this.#isMounted = false;
  }
}

function run(program, args) {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
