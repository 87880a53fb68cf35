/** Raw loop devices for a benchmark, and what fio makes of one: gone when it ends, however it ends. */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { MIB } from './figures.mjs';
// Before this file, so that its clean-up of directories comes after the one of devices.
import './scratch.mjs';

const devices = new Set();
process.prependOnceListener('exit', () => {
  for (const device of devices) device.remove();
});

export class RawDevice {
  /** The image is written once, so that nobody pays for the file system's allocation. */
  constructor(directory, name, sizeBytes) {
    this.imagePath = join(directory, `${name}.img`);
    this.sizeBytes = sizeBytes;
    closeSync(openSync(this.imagePath, 'w'));
    this.fill();
    const attach = ['--find', '--show', '--direct-io=on', this.imagePath];
    this.path = execFileSync('losetup', attach, { encoding: 'utf8' }).trim();
    devices.add(this);
  }

  /** Gives the whole image its blocks back, under the device. Its content is lost. */
  fill() {
    const block = Buffer.alloc(4 * MIB, 0xa5);
    const fd = openSync(this.imagePath, 'r+');
    for (let at = 0; at < this.sizeBytes; at += block.length)
      writeSync(fd, block, 0, block.length, at);
    closeSync(fd);
    execFileSync('sync', [this.imagePath]);
  }

  /** Requests and bytes that it has discarded. Source: Documentation/block/stat.rst. */
  discards() {
    const fields = readFileSync(`/sys/class/block/${basename(this.path)}/stat`, 'latin1')
      .trim()
      .split(/\s+/)
      .map(Number);
    return { requestCount: fields[11], bytes: fields[13] * 512 };
  }

  /** Source: blockdev(8), BLKFLSBUF: written and forgotten. */
  dropCache() {
    execFileSync('blockdev', ['--flushbufs', this.path]);
  }

  remove() {
    execFileSync('losetup', ['--detach', this.path]);
    devices.delete(this);
  }
}

/**
 * @param operation `read` or `write`, which ends with a flush.
 * @returns milliseconds for `totalBytes` in blocks of `blockBytes`, `depth` at a time, past the cache.
 */
export function fioMs(device, operation, { totalBytes, blockBytes, depth }) {
  const shareBytes = totalBytes / depth;
  const output = execFileSync(
    'fio',
    [
      '--name=raw',
      `--filename=${device.path}`,
      `--rw=${operation}`,
      '--ioengine=psync',
      '--direct=1',
      `--bs=${blockBytes}`,
      `--size=${shareBytes}`,
      `--offset_increment=${shareBytes}`,
      `--numjobs=${depth}`,
      '--thread',
      '--end_fsync=1',
      '--output-format=json',
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const { jobs } = JSON.parse(output.slice(output.indexOf('{')));
  return Math.max(...jobs.map((job) => job.job_runtime));
}
