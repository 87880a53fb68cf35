/**
 * The server of a fault disk: fault-disk-server.mjs SOCKET BYTES [no-trim]. Serves NBD (fixed
 * newstyle) from memory. Each line on standard input is a request, answered by a line:
 *   {}                      how many requests the rule met
 *   {"rule":RULE|null}      fail or change requests
 *   {"record":true}         from now on, keep every write and flush, and what was there before
 *   {"record":false}        no more; answers with what was kept, without the data
 *   {"restore":[[N,BYTES]]} be as when the record began, with these writes of it (whole, or so many
 *                           bytes of it) and none of what came since
 *
 * Source: github.com/NetworkBlockDevice/nbd, doc/proto.md.
 */

import net from 'node:net';
import { createInterface } from 'node:readline';

const [socketPath, size, canTrim] = process.argv.slice(2);
const image = Buffer.alloc(Number(size));
const EIO = 5;
const EINVAL = 22;
const OPTION_EXPORT_NAME = 1;
const OPTION_INFO = 6;
const OPTION_GO = 7;
const REPLY_ACK = 1;
const REPLY_INFO = 3;
const REPLY_UNSUPPORTED = 0x80000001;
const COMMANDS = ['read', 'write', 'disconnect', 'flush', 'trim', 'cache', 'zero'];
/** HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, CAN_MULTI_CONN. */
const FLAGS = 1 | 4 | 8 | (canTrim === 'no-trim' ? 0 : 32) | 64 | 256;

const PAGE_BYTES = 4096;
/** Of a write: its data is on the disk before it is answered. */
const FLAG_FUA = 1;

let rule = null;
let seenCount = 0;
let hitCount = 0;
let isRecording = false;
/** Null for a flush; a discard reads as zeros. */
let recorded = [];
/** Pages as they were when the record began, of those that changed since; null before the first. */
let pagesBefore = null;

net
  .createServer((socket) => serve(socket).catch(() => socket.destroy()))
  .listen(socketPath, () => {
    console.log('{}');
  });
const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const asked = JSON.parse(line);
  if ('rule' in asked) {
    rule = asked.rule;
    seenCount = 0;
    hitCount = 0;
  }
  if (asked.restore) restore(asked.restore);
  if (asked.record) beginRecord();
  const answer = { hitCount };
  if (asked.record === false) answer.recorded = endRecord();
  console.log(JSON.stringify(answer));
});
input.on('close', () => process.exit(0));

async function serve(socket) {
  socket.on('error', () => {});
  const read = reader(socket);
  const hello = Buffer.alloc(18);
  hello.write('NBDMAGICIHAVEOPT', 0, 'latin1');
  hello.writeUInt16BE(3, 16);
  socket.write(hello);
  const clientFlags = (await read(4)).readUInt32BE();
  if (!(await negotiate(socket, read, (clientFlags & 2) !== 0))) return;
  for (;;) {
    const request = await read(28);
    const command = COMMANDS[request.readUInt16BE(6)];
    const cookie = Buffer.from(request.subarray(8, 16));
    const at = Number(request.readBigUInt64BE(16));
    const length = request.readUInt32BE(24);
    const data = command === 'write' ? await read(length) : null;
    if (command === 'disconnect') return socket.end();
    const { error, content, delayMs } = answer(command, at, length, data);
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    const isForced = command !== 'flush' && (request.readUInt16BE(4) & FLAG_FUA) !== 0;
    if (isRecording && error === 0 && isForced) note(null);
    const reply = Buffer.alloc(16);
    reply.writeUInt32BE(0x67446698, 0);
    reply.writeUInt32BE(error, 4);
    cookie.copy(reply, 8);
    socket.write(content && error === 0 ? Buffer.concat([reply, content]) : reply);
  }
}

async function negotiate(socket, read, noZeroes) {
  for (;;) {
    const head = await read(16);
    const option = head.readUInt32BE(8);
    const length = head.readUInt32BE(12);
    if (length > 0) await read(length);
    const reply = (type, data = Buffer.alloc(0)) => {
      const frame = Buffer.alloc(20);
      frame.writeBigUInt64BE(0x3e889045565a9n, 0);
      frame.writeUInt32BE(option, 8);
      frame.writeUInt32BE(type, 12);
      frame.writeUInt32BE(data.length, 16);
      socket.write(Buffer.concat([frame, data]));
    };
    const about = Buffer.alloc(option === OPTION_EXPORT_NAME ? (noZeroes ? 10 : 134) : 12);
    const from = option === OPTION_EXPORT_NAME ? 0 : 2;
    about.writeBigUInt64BE(BigInt(image.length), from);
    about.writeUInt16BE(FLAGS, from + 8);
    if (option === OPTION_EXPORT_NAME) {
      socket.write(about);
      return true;
    }
    if (option === OPTION_GO || option === OPTION_INFO) {
      reply(REPLY_INFO, about);
      reply(REPLY_ACK);
      if (option === OPTION_GO) return true;
    } else reply(REPLY_UNSUPPORTED);
  }
}

function answer(command, at, length, data) {
  const hit = meets(command, at, length);
  if (hit && rule.delayMs) {
    const { delayMs } = rule;
    return { ...act(command, at, length, data, false), delayMs };
  }
  if (hit && !rule.flip) return { error: rule.errno ?? EIO };
  return act(command, at, length, data, hit);
}

function act(command, at, length, data, hit) {
  switch (command) {
    case 'read': {
      const content = Buffer.from(image.subarray(at, at + length));
      if (hit) content[0] ^= 1;
      return { error: 0, content };
    }
    case 'write':
      change(at, data);
      if (hit) image[at] ^= 1;
      return { error: 0 };
    case 'trim':
    case 'zero':
      change(at, Buffer.alloc(length));
      return { error: 0 };
    case 'flush':
      if (isRecording) note(null);
      return { error: 0 };
    default:
      return { error: EINVAL };
  }
}

function change(at, data) {
  if (isRecording) note({ at, data: Buffer.from(data) });
  put(at, data);
}

function put(at, data) {
  if (pagesBefore) keepPages(at, data.length);
  data.copy(image, at);
}

function keepPages(at, length) {
  const first = Math.floor(at / PAGE_BYTES);
  for (let page = first; page * PAGE_BYTES < at + length; page += 1) {
    if (pagesBefore.has(page)) continue;
    const start = page * PAGE_BYTES;
    pagesBefore.set(page, Buffer.from(image.subarray(start, start + PAGE_BYTES)));
  }
}

/** The clock is the same for all processes of the machine: records of several disks have one order. */
function note(write) {
  recorded.push({ atNs: String(process.hrtime.bigint()), write });
}

function beginRecord() {
  isRecording = true;
  recorded = [];
  pagesBefore = new Map();
}

function endRecord() {
  isRecording = false;
  return recorded.map(({ atNs, write }) => ({
    atNs,
    write: write && { startBytes: write.at, lengthBytes: write.data.length },
  }));
}

function restore(writes) {
  for (const [page, bytes] of pagesBefore) bytes.copy(image, page * PAGE_BYTES);
  for (const [index, byteCount] of writes) {
    const { at, data } = recorded[index].write;
    put(at, byteCount === null ? data : data.subarray(0, byteCount));
  }
}

function meets(command, at, length) {
  if (!rule || rule.op !== command || length < (rule.bytesMin ?? 0)) return false;
  // As on a disk: whatever touches it fails, also a request that began before it.
  if (rule.fromBytes !== undefined && at + length <= rule.fromBytes) return false;
  seenCount += 1;
  if (seenCount < rule.nth || (rule.count !== null && hitCount >= rule.count)) return false;
  hitCount += 1;
  return true;
}

/** @returns a function that waits for that many bytes. */
function reader(socket) {
  let buffered = Buffer.alloc(0);
  let wake = () => {};
  socket.on('data', (chunk) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    wake();
  });
  return async (count) => {
    while (buffered.length < count) await new Promise((resolve) => (wake = resolve));
    const bytes = buffered.subarray(0, count);
    buffered = buffered.subarray(count);
    return bytes;
  };
}
