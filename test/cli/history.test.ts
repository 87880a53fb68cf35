/**
 * `history` and `history verify` by the command line: what was done with real commands is told, and
 * whatever somebody does to the database with sqlite3 makes `verify` end with 1.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseSinceMs } from '../../src/cli/history.js';
import { beginDefrag } from '../../src/cli/run-control.js';
import { LEDGER_EVENTS } from '../../src/domain/ledger.js';
import { PoolStore } from '../../src/store/pool-store.js';
import { emptyPool, fragmentedPool } from '../support/cli-pools.js';
import { CliNode, RUN_JS } from '../support/cli-run.js';
import { closePool, openPool } from '../support/pool-fixture.js';

const node = new CliNode();
afterAll(() => node.stop());

/** With six entries: its beginning, its disk and four policies. */
async function poolWithHistory(): Promise<{ path: string; catalogue: string }> {
  const { path } = await emptyPool();
  for (const preset of ['aggressive', 'balanced', 'conservative', 'performance']) {
    await node.text('policy', 'set', '-p', path, '--policy', preset);
  }
  return { path, catalogue: join(path, 'pool.sqlite') };
}

/** With the guards away, as somebody who may write the file can have it. */
function tamper(catalogue: string, sql: string): void {
  const guards = execFileSync(
    'sqlite3',
    [
      catalogue,
      "SELECT sql || ';' FROM sqlite_schema WHERE type = 'trigger' AND tbl_name GLOB 'ledger*'",
    ],
    { encoding: 'utf8' },
  );
  const drops = [...guards.matchAll(/CREATE TRIGGER (\w+)/g)].map(
    ([, name]) => `DROP TRIGGER ${name};`,
  );
  execFileSync('sqlite3', [catalogue], { input: `${drops.join('\n')}\n${sql};\n${guards}` });
}

describe('history', () => {
  it('shows what was done, by whom and why, the newest last, and every figure with --json', async () => {
    const { path } = await poolWithHistory();
    const { entries, head } = await node.json('history', ['-p', path]);
    expect(entries.map((entry) => ('event' in entry ? entry.event : null))).toEqual([
      ...['ledger-began', 'disk-added'],
      ...Array.from({ length: 4 }, () => 'policy-set'),
    ]);
    expect(entries.at(-1)).toMatchObject({
      ...{ index: 6, actor: expect.stringMatching(/./), policyVersion: 4 },
      figures: { oldVersion: 3, newVersion: 4, document: { preset: 'performance' } },
    });
    expect(head).toEqual({ entryCount: 6, lastHash: entries.at(-1)?.hash });

    const text = await node.text('history', '-p', path);
    const lines = text.trimEnd().split('\n');
    expect(lines).toHaveLength(7);
    expect(lines[0]).toMatch(/^ +# {2}TIME \(UTC\) +WHO +WHAT$/);
    expect(lines[1]).toMatch(
      /^ +1 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}\S+.* ledger began — the pool was made$/,
    );
    expect(lines[6]).toMatch(/ policy 3 → 4 \(performance\)$/);
  });

  it('shows the newest so many, those of an event, and those since a time', async () => {
    const { path } = await poolWithHistory();
    const indexes = async (...args: string[]) => {
      const { entries } = await node.json('history', ['-p', path, ...args]);
      return entries.map(({ index }) => index);
    };
    expect(await indexes('--limit', '2')).toEqual([5, 6]);
    expect(await indexes('--event', 'policy-set', '--limit', '3')).toEqual([4, 5, 6]);
    expect(await indexes('--event', 'disk-added')).toEqual([2]);
    expect(await indexes('--event', 'run-ended')).toEqual([]);
    expect(await indexes('--since', '1h')).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await indexes('--since', '2200-01-01')).toEqual([]);
    expect(await indexes('--all')).toHaveLength(6);
    for (const wrong of [
      ['--event', 'x'],
      ['--since', 'yesterday'],
      ['--all', '--limit', '2'],
      ['--limit', '0'],
    ]) {
      expect(await node.jsonFailure(['history', '-p', path, ...wrong])).toMatchObject({
        exitCode: 2,
      });
    }
  });

  it('reads a time as UTC unless it says else, and a duration as so long ago', () => {
    const nowMs = Date.UTC(2026, 10, 29);
    expect(parseSinceMs('2h', nowMs)).toBe(nowMs - 7_200_000);
    for (const same of [
      '2026-11-01',
      '2026-11-01T00:00',
      '2026-11-01 00:00',
      '2026-11-01T02:00+02:00',
    ]) {
      expect([same, parseSinceMs(same, nowMs)]).toEqual([same, Date.UTC(2026, 10, 1)]);
    }
    for (const none of ['', 'x', '2026', '2026-13-01', '1 fortnight']) {
      expect(() => parseSinceMs(none, nowMs)).toThrow(
        expect.objectContaining({ code: 'ERR_USAGE' }),
      );
    }
  });

  it('is written page by page: all of a long one, and a reader that wants no more ends it', async () => {
    const { path, catalogue } = await poolWithHistory();
    const store = new PoolStore(catalogue);
    store.transaction(() => {
      for (let index = 7; index <= 20_000; index += 1) {
        store.ledger.append({ atMs: index, event: 'run-began', reason: 'x'.repeat(200) });
      }
    });
    store.close();
    const { entries } = await node.json('history', ['-p', path, '--all']);
    expect(entries.map(({ index }) => index)).toEqual(
      Array.from({ length: 20_000 }, (_, i) => i + 1),
    );
    const script = `"$0" "$1" history -p "$2" --all | head -n 3; echo "\${PIPESTATUS[0]}"`;
    const head = await node.program('bash', ['-c', script, process.execPath, RUN_JS, path]);
    expect(head.stderr).toBe('');
    expect(head.stdout.trimEnd().split('\n').at(-1)).toBe('0');
    expect(await node.json('history verify', ['-p', path])).toMatchObject({ entryCount: 20_000 });
  });

  it('shows names that somebody chose without obeying them', async () => {
    const { path, catalogue } = await poolWithHistory();
    const store = new PoolStore(catalogue);
    store.ledger.append({
      atMs: 1,
      event: 'run-paused',
      reason: 'a\u001b[2Jb\nc',
      actor: 'm\u0007',
    });
    store.close();
    const text = await node.text('history', '-p', path, '--limit', '1');
    expect(text).toContain('a\\u001b[2Jb\\nc');
    expect(text).not.toContain('\u001b');
    expect(text).not.toContain('\u0007');
  });
});

describe('a pause', () => {
  it('takes a reason and an end, which the status and the history show', async () => {
    const { path } = await fragmentedPool();
    const none = await node.failure(['defrag', 'pause', '-p', path, '--for', '2h']);
    expect(none).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', exitCode: 10 });
    const pool = openPool(path);
    beginDefrag(pool, { intensity: 'low', threadCount: 1, once: true });
    await closePool(pool);

    for (const wrong of [
      ['--for', 'soon'],
      ['--reason', 'x'.repeat(501)],
    ]) {
      const refused = await node.jsonFailure(['defrag', 'pause', '-p', path, ...wrong]);
      expect(refused).toMatchObject({ code: 'ERR_USAGE', exitCode: 2 });
    }
    const beforeMs = Date.now();
    const args = ['-p', path, '--reason', 'backup at night', '--for', '2h'];
    const status = await node.json('defrag pause', args);
    const pause = status.run?.pause;
    expect(pause).toMatchObject({ reason: 'backup at night', actor: expect.any(String) });
    const untilMs = pause?.untilMs ?? 0;
    expect(untilMs).toBeGreaterThan(beforeMs + 7_100_000);
    expect(untilMs).toBeLessThan(Date.now() + 7_300_000);
    const text = await node.text('defrag', 'status', '-p', path);
    expect(text).toMatch(/^ {2}Paused by \S+.* at .* UTC, until .* UTC: backup at night$/m);
    const history = await node.text('history', '-p', path, '--event', 'run-paused');
    expect(history).toMatch(
      /defrag run 1 paused until \d{4}-\d\d-\d\d \d\d:\d\d — backup at night$/m,
    );
  });
});

it('of a pool that was recovered begins anew, and says that the one before was lost', async () => {
  const { path, disks } = await emptyPool();
  rmSync(join(path, 'pool.sqlite'));
  await node.text('recover', '-p', path, ...disks.flatMap((disk) => ['--disk', disk]));
  const { entries } = await node.json('history', ['-p', path]);
  expect(entries[0]).toMatchObject({
    ...{ event: 'ledger-began', figures: { beginning: 'recovered' } },
    reason: expect.stringContaining('was lost'),
  });
  expect(entries[1]).toMatchObject({ event: 'disk-added', figures: { disk: disks[0] } });
  expect(await node.json('history verify', ['-p', path])).toMatchObject({ whole: true });
});

describe('history verify', () => {
  it('finds a ledger whole, with its head, which later proves what was there', async () => {
    const { path } = await poolWithHistory();
    const first = await node.json('history verify', ['-p', path]);
    expect(first).toMatchObject({ whole: true, entryCount: 6, expected: null, problem: null });
    const kept = `${first.head?.entryCount}:${first.head?.lastHash}`;
    expect(await node.text('history', 'verify', '-p', path)).toContain(`  Head: ${kept}\n`);
    await node.text('policy', 'set', '-p', path, '--policy', 'balanced');
    const later = await node.json('history verify', ['-p', path, '--expect', kept]);
    expect(later).toMatchObject({ whole: true, entryCount: 7, expected: first.head });
  });

  const FIGURE = 'replace(entry, \'"newVersion":2\', \'"newVersion":9\')';
  it.each([
    ['a changed figure', `UPDATE ledger SET entry = ${FIGURE} WHERE entry_index = 4`, 'changed', 4],
    ['a removed entry', 'DELETE FROM ledger WHERE entry_index = 3', 'missing', 3],
    ['a removed tail', 'DELETE FROM ledger WHERE entry_index > 4', 'tail-removed', 5],
    [
      'swapped entries',
      `UPDATE ledger SET entry_index = -3 WHERE entry_index = 3;
       UPDATE ledger SET entry_index = 3 WHERE entry_index = 4;
       UPDATE ledger SET entry_index = 4 WHERE entry_index = -3`,
      'misplaced',
      3,
    ],
    ['a removed head', 'DELETE FROM ledger_head', 'head-missing', null],
    [
      'nothing but taken away guards',
      'DROP TABLE IF EXISTS x; DROP INDEX ledger_by_time',
      null,
      null,
    ],
  ])('ends with 1 for %s, except where nothing was rewritten', async (_, sql, kind, index) => {
    const { path, catalogue } = await poolWithHistory();
    tamper(catalogue, sql);
    const code = kind === null ? 0 : 1;
    const { problem } = await node.json('history verify', ['-p', path], code);
    if (kind === null) expect(problem).toBe(null);
    else expect(problem).toMatchObject({ kind, index });
    const { code: textCode, stdout } = await node.run(['history', 'verify', '-p', path]);
    expect(textCode).toBe(code);
    expect(stdout.includes('BROKEN')).toBe(kind !== null);
    // What is left is still shown.
    expect((await node.run(['history', '-p', path])).code).toBe(0);
  });

  it('ends with 1 for a tail that was chained anew without the head, and with it only by --expect', async () => {
    const { path, catalogue } = await poolWithHistory();
    const { head } = await node.json('history verify', ['-p', path]);
    const script = `
import hashlib, json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
guards = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name GLOB 'ledger*'").fetchall()
for name, _ in guards: db.execute(f"DROP TRIGGER {name}")
previous = None
for index, entry in db.execute("SELECT entry_index, entry FROM ledger ORDER BY 1").fetchall():
  told = json.loads(entry)
  if index == 4: told["actor"] = "nobody"
  told["previousHash"] = previous
  text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
  previous = hashlib.sha256(text.encode()).hexdigest()
  db.execute("UPDATE ledger SET entry = ?, hash = ? WHERE entry_index = ?", (text, previous, index))
if sys.argv[2] == "head": db.execute("UPDATE ledger_head SET last_hash = ?", (previous,))
for _, sql in guards: db.execute(sql)
db.commit()`;
    execFileSync('python3', ['-c', script, catalogue, 'no head']);
    const broken = await node.json('history verify', ['-p', path], 1);
    expect(broken.problem).toMatchObject({ kind: 'head-differs', index: 6 });

    execFileSync('python3', ['-c', script, catalogue, 'head']);
    // What the ledger by itself cannot show: docs/ledger.md says so.
    expect(await node.json('history verify', ['-p', path])).toMatchObject({ whole: true });
    const kept = `${head?.entryCount}:${head?.lastHash}`;
    const shown = await node.json('history verify', ['-p', path, '--expect', kept], 1);
    expect(shown.problem).toMatchObject({ kind: 'expected-differs', index: 6 });
  });

  it('refuses what is no head', async () => {
    const { path } = await emptyPool();
    const refused = await node.failure(['history', 'verify', '-p', path, '--expect', '6:abc']);
    expect(refused).toMatchObject({ code: 'ERR_USAGE', exitCode: 2 });
  });
});

it('docs/ledger.md tells what each event is', () => {
  const [, events = ''] = readFileSync('docs/ledger.md', 'utf8').split('| Event |');
  const rows = [...events.matchAll(/^\| `([a-z-]+)` \|/gm)];
  expect(rows.map(([, event]) => event)).toEqual([...LEDGER_EVENTS]);
});
