/** A loop mount with a store in memory for what trims remember, and what its image holds. */

import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename } from 'node:path';
import type { RememberedWindow } from '../../src/domain/trim-windows.js';
import { KIB, MIB, roundDown, roundUp } from '../../src/domain/units.js';
import { btrfsChunks } from '../../src/kernel/btrfs-chunks.js';
import { mappedBytes } from '../../src/kernel/fiemap.js';
import { finishFrees } from '../../src/kernel/fitrim.js';
import { freeRuns } from '../../src/kernel/free-space.js';
import type { OpenFile } from '../../src/kernel/kernel-call.js';
import { detectMount } from '../../src/kernel/mount-info.js';
import { syncFileSystem } from '../../src/kernel/sync-file-system.js';
import {
  type TrimMountOptions,
  type TrimMountReport,
  type TrimWindowStep,
  trimMount,
} from '../../src/pool/fs-pool/trim-mount.js';
import { WorkerPool } from '../../src/pool/worker-pool.js';
import { type LoopFsType, LoopMount, type LoopMountOptions } from './loop-mounts.js';

const BLOCK_BYTES = 4096;

/** Btrfs turns discard=async on by itself, and nothing would be left to trim. */
const OPTIONS: Readonly<Record<LoopFsType, LoopMountOptions>> = {
  ext4: { mkfsArgs: ['-b', '4096'] },
  xfs: {},
  btrfs: { mountOptions: ['nodiscard'] },
};

export class TrimLab {
  readonly mount: LoopMount;
  readonly workers = new WorkerPool(1);
  remembered: readonly RememberedWindow[] = [];
  cursorBytes: number | null = null;
  /** Of the last trim. */
  steps: TrimWindowStep[] = [];
  #runCount = 0;

  constructor(fsType: LoopFsType, options: LoopMountOptions = {}) {
    this.mount = new LoopMount(fsType, { ...OPTIONS[fsType], ...options });
  }

  async remove(): Promise<void> {
    await this.workers.close();
    this.mount.remove();
  }

  async trim(options: Partial<TrimMountOptions> = {}): Promise<TrimMountReport> {
    this.steps = [];
    this.#runCount += 1;
    const report = await trimMount({
      workers: this.workers,
      mount: detectMount(this.mount.mountPath),
      runId: `run ${this.#runCount}`,
      remembered: this.remembered,
      cursorBytes: this.cursorBytes,
      minLengthBytes: 0,
      windowBytes: 128 * MIB,
      stopFlag: null,
      clock: () => this.#runCount,
      onWindow: (step) => {
        this.steps.push(step);
        this.#store(step);
      },
      ...options,
    });
    return report;
  }

  #store({ planned, remember, cursorBytes }: TrimWindowStep): void {
    const others = this.remembered.filter((row) => row.startBytes !== planned.window.startBytes);
    this.remembered = remember ? [...others, remember] : others;
    this.cursorBytes = cursorBytes;
  }

  /** Skip causes by window. */
  skips(): (string | null)[] {
    return this.steps.map(({ planned }) => planned.skip);
  }

  writeFile(name: string, sizeBytes: number): void {
    const fd = openSync(this.mount.path(name), 'w');
    for (let at = 0; at < sizeBytes; at += MIB) {
      writeSync(fd, randomBytes(Math.min(MIB, sizeBytes - at)));
    }
    fsyncSync(fd);
    closeSync(fd);
  }

  /** Name and SHA-256 of each file in the root directory. */
  manifest(): Record<string, string> {
    const names = readdirSync(this.mount.mountPath).filter((name) => name !== 'lost+found');
    return Object.fromEntries(
      names.sort().map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(this.mount.path(name)))
          .digest('hex'),
      ]),
    );
  }

  imageBytes(): number {
    return this.mount.imagePaths.reduce((sum, path) => sum + statSync(path).blocks * 512, 0);
  }

  /** What the image holds for free space: nothing, when all of it is trimmed. */
  untrimmedBytes(): number {
    const file = { fd: openSync(this.mount.mountPath, 'r'), path: this.mount.mountPath };
    const imagePath = this.mount.imagePaths[0] ?? '';
    const image = { fd: openSync(imagePath, 'r'), path: imagePath };
    try {
      if (this.mount.fsType === 'xfs') finishFrees(file);
      syncFileSystem(file);
      return this.mount.fsType === 'btrfs'
        ? heldForChunks(file, image)
        : heldForFreeRuns(file, image, statSync(imagePath).size);
    } finally {
      closeSync(file.fd);
      closeSync(image.fd);
    }
  }

  /** Btrfs counts the copies of its superblock as neither free nor in use. */
  get toleratedBytes(): number {
    return this.mount.fsType === 'btrfs' ? 256 * KIB : 0;
  }

  get deviceName(): string {
    return basename(this.mount.devicePath);
  }
}

function heldForFreeRuns(file: OpenFile, image: OpenFile, sizeBytes: number): number {
  const { runs } = freeRuns(file, { startBytes: 0, lengthBytes: sizeBytes });
  let sumBytes = 0;
  for (let index = 0; index < runs.length; index += 2) {
    const from = runs[index] ?? 0;
    const startBytes = roundUp(from, BLOCK_BYTES);
    const lengthBytes = roundDown(from + (runs[index + 1] ?? 0), BLOCK_BYTES) - startBytes;
    if (lengthBytes > 0) sumBytes += mappedBytes(image, { startBytes, lengthBytes });
  }
  return sumBytes;
}

function heldForChunks(file: OpenFile, image: OpenFile): number {
  let sumBytes = 0;
  for (const { stripes, lengthBytes, usedBytes } of btrfsChunks(file)) {
    for (const { startBytes } of stripes) {
      sumBytes += Math.max(0, mappedBytes(image, { startBytes, lengthBytes }) - (usedBytes ?? 0));
    }
  }
  return sumBytes;
}
