#!/usr/bin/env node
/**
 * Writes docs/schemas: a JSON Schema for what every command prints with --json, and an index.
 *
 * `--check` compares instead and fails when a file is missing, stale or left over.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIRECTORY = join(ROOT, 'docs', 'schemas');
const LINE_WIDTH = 100;

const wanted = await schemaFiles();
const present = new Map(
  listOrEmpty(DIRECTORY).map((name) => [name, readFileSync(join(DIRECTORY, name), 'utf8')]),
);
const names = [...new Set([...wanted.keys(), ...present.keys()])].sort();
const stale = names.filter((name) => wanted.get(name) !== present.get(name));

if (process.argv.includes('--check')) {
  for (const name of stale) console.error(`docs/schemas/${name} is stale: run npm run schemas.`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  mkdirSync(DIRECTORY, { recursive: true });
  for (const name of stale) {
    const text = wanted.get(name);
    if (text === undefined) rmSync(join(DIRECTORY, name));
    else writeFileSync(join(DIRECTORY, name), text);
  }
}

/** @returns the text of every file by its name. */
async function schemaFiles() {
  const { OUTPUT_SCHEMAS, toJSONSchema } = await loadSchemas();
  const files = new Map();
  const rows = [];
  for (const [id, schema] of Object.entries(OUTPUT_SCHEMAS)) {
    const name = `${id.replaceAll(' ', '-')}.json`;
    const title = id === 'error' ? 'dynamicfs: an error' : `dynamicfs ${id} --json`;
    const { $schema, ...rest } = toJSONSchema(schema);
    files.set(name, `${format({ $schema, title, ...rest })}\n`);
    rows.push(`| ${id === 'error' ? 'any, when it fails' : `\`${id}\``} | [${name}](${name}) |`);
  }
  files.set('README.md', indexText(rows));
  return files;
}

/** The schemas are TypeScript: bundled with what they need, they can be imported from memory. */
async function loadSchemas() {
  const { outputFiles } = await build({
    stdin: {
      contents: `export { OUTPUT_SCHEMAS } from './src/cli/schemas.ts';
                 export { toJSONSchema } from 'zod';`,
      resolveDir: ROOT,
      loader: 'ts',
    },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
  });
  const source = Buffer.from(outputFiles[0].contents).toString('base64');
  return await import(`data:text/javascript;base64,${source}`);
}

function indexText(rows) {
  return `# JSON schemas

What each command prints on standard output with \`--json\`, as [JSON Schema](https://json-schema.org)
2020-12. \`schemaVersion\` is in every output. Within one version no field is removed or given another
meaning; fields may be added. The exit code is the same with and without \`--json\`, see
[errors and exit codes](../errors.md).

Units are in the names: \`…Bytes\`, \`…Count\`, \`…Ms\` (milliseconds; \`…AtMs\` since 1970, UTC),
\`…Ratio\` (0 to 1). What is not there is \`null\`.

| Command | Schema |
| --- | --- |
${rows.join('\n')}

\`npm run schemas\` writes this directory from \`src/cli/schemas.ts\`; a test holds the two together.
`;
}

/** As Biome formats JSON: arrays of plain values on one line where it fits. */
function format(value, indent = '', usedWidth = 0) {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const flat = `[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
    const isPlain = value.every((item) => item === null || typeof item !== 'object');
    if (isPlain && indent.length + usedWidth + flat.length + 1 <= LINE_WIDTH) return flat;
    return `[\n${value.map((item) => inner + format(item, inner)).join(',\n')}\n${indent}]`;
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([key, item]) => {
    const label = `${JSON.stringify(key)}: `;
    return inner + label + format(item, inner, label.length);
  });
  return `{\n${lines.join(',\n')}\n${indent}}`;
}

function listOrEmpty(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
