/** Bundles and what V8 made of them when they were built: never code that is not the bundle's. */

import { existsSync, writeFileSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { join } from 'node:path';
import vm from 'node:vm';
import { expect, it } from 'vitest';
import {
  compiledMark,
  compiledOf,
  compiledPath,
  loadScript,
  readScript,
  runScript,
} from '../../bin/load-script.js';
import { packageRoot } from '../../src/kernel/package-root.js';
import { tempDirectory } from '../support/temp-directory.js';

const BUNDLES = ['command-line', 'queue-packages'];

function writeBundle(path: string, word: string): void {
  writeFileSync(path, `exports.say = () => '${word}';\n// hash of ${word}\n`);
}

/** As scripts/build.mjs does. */
function compile(path: string): void {
  const source = readScript(path);
  const { exports, script } = runScript(path, source);
  exports.say();
  const parts = [script.createCachedData(), Buffer.from(compiledMark(source), 'latin1')];
  writeFileSync(compiledPath(path), Buffer.concat(parts));
  delete createRequire(path).cache[path];
}

it.each(BUNDLES)('takes the compiled code of %s: this Node.js built it', (name) => {
  const path = join(packageRoot(), 'dist', `${name}.cjs`);
  const source = readScript(path);
  const compiled = compiledOf(path, source);
  expect(compiled?.length).toBeGreaterThan(100_000);
  const script = new vm.Script(module.wrap(source), { filename: path, cachedData: compiled });
  expect(script.cachedDataRejected).toBe(false);
});

it('does not take what was compiled of another bundle of the same length', () => {
  const path = join(tempDirectory('bundle'), 'bundle.cjs');
  writeBundle(path, 'old');
  compile(path);
  writeBundle(path, 'new');
  expect(loadScript(path).say()).toBe('new');
});

it('does without compiled code, and with none that is whole', () => {
  for (const content of [null, '', 'nonsense']) {
    const path = join(tempDirectory('bundle'), 'bundle.cjs');
    writeBundle(path, 'said');
    if (content !== null) writeFileSync(compiledPath(path), content);
    expect(existsSync(compiledPath(path))).toBe(content !== null);
    expect(loadScript(path).say()).toBe('said');
  }
});

it('is loaded once, by whatever way', () => {
  const path = join(tempDirectory('bundle'), 'bundle.cjs');
  writeBundle(path, 'said');
  compile(path);
  const loaded = loadScript(path);
  expect(createRequire(path)(path)).toBe(loaded);
  expect(loadScript(path)).toBe(loaded);
});
