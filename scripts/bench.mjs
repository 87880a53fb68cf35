#!/usr/bin/env node
/**
 * Runs benchmarks: all, or those named. `--list` names them, `--json` and `--markdown` print the
 * figures for programs and for docs/benchmarks.md.
 *
 * One after the other, in this process, against dist/. A missed target is told and is no failure: on
 * a machine that others use it says little. What cannot be measured at all is.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { asMarkdown, asText } from '../bench/support/report.mjs';
import { removeScratch, scratchDirectory } from '../bench/support/scratch.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PAGE = join(root, 'docs', 'benchmarks.md');
const USAGE = `usage: npm run bench -- [NAME...] [--list] [--json | --markdown | --update]
  --update writes the figures into docs/benchmarks.md`;

const known = readdirSync(join(root, 'bench'))
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -'.mjs'.length));
const { names, options } = parse(process.argv.slice(2));

if (options.list) await list();
else await runAll();

function parse(args) {
  try {
    const flags = ['list', 'json', 'markdown', 'update'];
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: Object.fromEntries(flags.map((flag) => [flag, { type: 'boolean' }])),
    });
    const unknown = positionals.find((name) => !known.includes(name));
    if (unknown) throw new Error(`no benchmark "${unknown}"; there are ${known.join(', ')}`);
    return { names: positionals.length > 0 ? positionals : known, options: values };
  } catch (error) {
    console.error(`bench: ${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

async function list() {
  for (const name of known) {
    const { title } = await load(name);
    console.log(`${name.padEnd(10)} ${title}`);
  }
}

async function runAll() {
  const reports = [];
  for (const name of names) {
    const { title, run, isPartial = false } = await load(name);
    process.stderr.write(`bench: ${name}\n`);
    const directory = scratchDirectory(name);
    try {
      const say = (what) => process.stderr.write(`bench: ${name}: ${what}\n`);
      const rows = await run({ directory, say });
      const report = { name, title, rows, isPartial };
      reports.push(report);
      if (!options.json && !options.markdown) console.log(asText(report));
    } catch (error) {
      process.stderr.write(`bench: ${name} could not be measured: ${error.stack}\n`);
      process.exitCode = 1;
    } finally {
      removeScratch(directory);
    }
  }
  if (options.json) console.log(JSON.stringify({ machine: machine(), reports }, null, 2));
  if (options.markdown) console.log(reports.map(asMarkdown).join('\n'));
  if (options.update && reports.length > 0) updatePage(reports);
}

function load(name) {
  return import(pathToFileURL(join(root, 'bench', `${name}.mjs`)).href);
}

/** Each benchmark has its place between two comments; the rest of the page is written by hand. */
function updatePage(reports) {
  let page = readFileSync(PAGE, 'utf8');
  const put = (place, textOf) => {
    const [begin, end] = [`<!-- ${place} -->`, `<!-- end of ${place} -->`];
    const [before, rest] = page.split(begin);
    const after = rest?.split(end)[1];
    if (after === undefined) throw new Error(`${PAGE} has no place for ${place}`);
    page = `${before}${begin}\n${textOf(rest.split(end)[0].trim())}\n${end}${after}`;
  };
  for (const report of reports) {
    const text = asMarkdown(report).trim();
    put(report.name, (before) => (report.isPartial ? withRows(before, text) : text));
  }
  put('machine', machineText);
  writeFileSync(PAGE, page);
}

/** The old table with the rows of the new one in it: of a benchmark that measured a part. */
function withRows(oldTable, newTable) {
  const labelOf = (line) => line.split(' | ')[0];
  const rows = new Map();
  for (const line of newTable.split('\n')) if (line.startsWith('| ')) rows.set(labelOf(line), line);
  const kept = oldTable.split('\n').map((line) => {
    const row = rows.get(labelOf(line)) ?? line;
    rows.delete(labelOf(line));
    return row;
  });
  return [...kept, ...rows.values()].join('\n');
}

function machine() {
  const [{ model } = { model: 'unknown' }] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    kernel: release(),
    processor: model.trim(),
    processorCount: cpus().length,
    memoryBytes: totalmem(),
  };
}

function machineText() {
  const { date, node, kernel, processor, processorCount, memoryBytes } = machine();
  const memory = `${Math.round(memoryBytes / 2 ** 30)} GiB memory`;
  return `${date}: ${processorCount} × ${processor}, ${memory}, Linux ${kernel}, Node ${node}.`;
}
