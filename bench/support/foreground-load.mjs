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

const KINDS = {
  reads: { rw: 'randread', blockSize: '4k', sizeMib: 256 },
  writes: { rw: 'randwrite', blockSize: '64k', sizeMib: 128 },
};
const DEPTH = 4;
/** fio itself takes a while to start, and its first requests are not like the others. */
const LEAD_MS = 1_500;
/** A percentile of fewer says nothing. */
const SAMPLES_MIN = 100;

/** Writes the two files that the load works on: what was only preallocated would be no read. */
export function layOut(mountPath) {
  for (const [kind, { sizeMib }] of Object.entries(KINDS)) {
    const path = join(mountPath, `load-${kind}`);
    execFileSync('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${sizeMib}`], {
      stdio: 'pipe',
    });
  }
  execFileSync('sync', ['-f', mountPath]);
}

/**
 * Runs the load and, once it is under way, `body`.
 *
 * @param perSecond `{ reads, writes }`: requests that become due.
 * @param body is given what ends it: a promise after `windowMs`. It returns when it ended or gave up.
 * @returns the 99th percentiles in ms of what was asked for while `body` ran, and what it returned.
 */
export async function underLoad({ mountPath, directory, perSecond, windowMs }, body) {
  const seconds = Math.ceil((LEAD_MS + windowMs) / 1000) + 1;
  const fio = adopt(
    spawn('fio', jobs({ mountPath, directory, perSecond, seconds }), {
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  );
  const ended = once(fio, 'exit');
  await sleep(LEAD_MS);
  const result = await body(sleep(windowMs));
  const [code] = await ended;
  if (code !== 0) throw new Error(`fio ended with ${code}`);
  const p99 = {};
  for (const kind of Object.keys(KINDS)) {
    p99[kind] = percentile(readLog(directory, kind), result, 0.99);
  }
  return { ...result, p99 };
}

function jobs({ mountPath, directory, perSecond, seconds }) {
  const common = [
    '--ioengine=libaio',
    `--iodepth=${DEPTH}`,
    '--direct=1',
    '--time_based',
    `--runtime=${seconds}`,
    '--randseed=7',
    '--log_unix_epoch=1',
    '--output=/dev/null',
  ];
  const each = Object.entries(KINDS).flatMap(([kind, { rw, blockSize }]) => [
    `--name=${kind}`,
    `--filename=${join(mountPath, `load-${kind}`)}`,
    `--rw=${rw}`,
    `--bs=${blockSize}`,
    `--rate_iops=${perSecond[kind]}`,
    `--write_lat_log=${join(directory, kind)}`,
  ]);
  return [...common, ...each];
}

/** @returns pairs of the time of day at which a request ended and its latency, both in ms. */
function readLog(directory, kind) {
  const index = Object.keys(KINDS).indexOf(kind) + 1;
  const text = readFileSync(join(directory, `${kind}_lat.${index}.log`), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [atMs, latencyNs] = line.split(',').map(Number);
      return { atMs, latencyMs: latencyNs / 1e6 };
    });
}

function percentile(samples, { beganAtMs, endedAtMs }, share) {
  const latencies = samples
    .filter(({ atMs }) => atMs >= beganAtMs && atMs <= endedAtMs)
    .map(({ latencyMs }) => latencyMs)
    .sort((a, b) => a - b);
  if (latencies.length < SAMPLES_MIN) {
    throw new Error(`only ${latencies.length} requests fell into the time that counts`);
  }
  return latencies[Math.floor(latencies.length * share)];
}
