/**
 * The programs that others run: fio reads 4 KiB and writes 64 KiB at random places, at fixed rates,
 * past the page cache.
 *
 * fio logs each request with its time of day, so that only those count that fell into a given time.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { adopt } from './scratch.mjs';

const JOBS = {
  reads: { rw: 'randread', blockSize: '4k', sizeMib: 256 },
  writes: { rw: 'randwrite', blockSize: '64k', sizeMib: 128 },
};
export const KINDS = Object.keys(JOBS);
const DEPTH = 4;
/** fio itself takes a while to start, and its first requests are not like the others. */
const LEAD_MS = 1_500;
/** It is ended by a signal before. */
const SECONDS_MAX = 600;
/** A percentile of fewer says nothing. */
const SAMPLES_MIN = 100;

/** Writes the two files that the load works on: what was only preallocated would be no read. */
export function layOut(mountPath) {
  for (const [kind, { sizeMib }] of Object.entries(JOBS)) {
    const path = join(mountPath, `load-${kind}`);
    execFileSync('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${sizeMib}`], {
      stdio: 'pipe',
    });
  }
  execFileSync('sync', ['-f', mountPath]);
}

/** A load under way, until its end is asked for. */
export class Load {
  #fio;
  #ended;
  #directory;

  /** @param perSecond `{ reads, writes }`: requests that become due. */
  static async begin({ mountPath, directory, perSecond }) {
    const load = new Load();
    load.#directory = directory;
    load.#fio = adopt(
      spawn('fio', jobs({ mountPath, directory, perSecond }), {
        stdio: ['ignore', 'ignore', 'inherit'],
      }),
    );
    load.#ended = once(load.#fio, 'exit');
    await Promise.race([sleep(LEAD_MS), load.#ended]);
    return load;
  }

  /** @returns by kind `{ atMs, latencyMs }` of each request: when it ended, and what it took. */
  async end() {
    const { exitCode, signalCode } = this.#fio;
    if (exitCode !== null || signalCode !== null) throw new Error('fio ended too soon');
    this.#fio.kill('SIGINT');
    await this.#ended;
    return Object.fromEntries(KINDS.map((kind) => [kind, readLog(this.#directory, kind)]));
  }
}

/** @param windows `{ beganAtMs, endedAtMs }`: only what ended in one of them counts. */
export function p99Within(log, windows) {
  const latencies = log
    .filter(({ atMs }) => windows.some((one) => atMs >= one.beganAtMs && atMs <= one.endedAtMs))
    .map(({ latencyMs }) => latencyMs)
    .sort((a, b) => a - b);
  if (latencies.length < SAMPLES_MIN) {
    throw new Error(`only ${latencies.length} requests fell into the time that counts`);
  }
  return latencies[Math.floor(latencies.length * 0.99)];
}

function jobs({ mountPath, directory, perSecond }) {
  const common = [
    '--ioengine=libaio',
    `--iodepth=${DEPTH}`,
    '--direct=1',
    '--time_based',
    `--runtime=${SECONDS_MAX}`,
    '--randseed=7',
    '--log_unix_epoch=1',
    '--output=/dev/null',
  ];
  const each = Object.entries(JOBS).flatMap(([kind, { rw, blockSize }]) => [
    `--name=${kind}`,
    `--filename=${join(mountPath, `load-${kind}`)}`,
    `--rw=${rw}`,
    `--bs=${blockSize}`,
    `--rate_iops=${perSecond[kind]}`,
    `--write_lat_log=${join(directory, kind)}`,
  ]);
  return [...common, ...each];
}

/** Source: fio(1), log file formats. */
function readLog(directory, kind) {
  const index = KINDS.indexOf(kind) + 1;
  const text = readFileSync(join(directory, `${kind}_lat.${index}.log`), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [atMs, latencyNs] = line.split(',').map(Number);
      return { atMs, latencyMs: latencyNs / 1e6 };
    });
}
