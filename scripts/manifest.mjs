#!/usr/bin/env node
/**
 * Writes oclif.manifest.json: what every command takes, so that none has to be loaded to be found.
 *
 * `--check` compares instead and fails when the file is stale.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILE_NAME = 'oclif.manifest.json';

export async function writeManifest(root) {
  const path = join(root, FILE_NAME);
  const text = await manifestText(root);
  if (text === readOrEmpty(path)) return;
  // Whole or not at all: a command that starts meanwhile reads it.
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** The same commands give the same text, so that the file only changes when they do. */
async function manifestText(root) {
  const { Plugin, settings } = await import('@oclif/core');
  settings.enableAutoTranspile = false;
  const plugin = new Plugin({
    root,
    type: 'core',
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
  });
  await plugin.load();
  const { commands, version } = plugin.manifest;
  const sorted = Object.fromEntries(Object.entries(commands).sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ commands: sorted, version }, null, 2)}\n`;
}

function readOrEmpty(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  if (!process.argv.includes('--check')) {
    await writeManifest(root);
  } else if ((await manifestText(root)) !== readOrEmpty(join(root, FILE_NAME))) {
    console.error(`${FILE_NAME} is stale: run npm run build and commit it.`);
    process.exitCode = 1;
  }
}
