#!/usr/bin/env node
/** Starts the command line. `--version` is answered here, since scripts ask it often. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadScript } from './load-script.js';

const argument = process.argv.length === 3 ? process.argv[2] : null;
const commandLine = fileURLToPath(new URL('../dist/command-line.cjs', import.meta.url));

if (argument === '--version' || argument === '-v') {
  const { name, version } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  const { platform, arch } = process;
  process.stdout.write(`${name}/${version} ${platform}-${arch} node-${process.version}\n`);
} else if (existsSync(commandLine)) {
  await loadScript(commandLine).runCommandLine(process.argv.slice(2));
} else {
  process.stderr.write('dynamicfs is not built here: run npm run build\n');
  process.exitCode = 12;
}
