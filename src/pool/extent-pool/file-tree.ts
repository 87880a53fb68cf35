/** Walks files and directories into entries to store; symbolic links are stored, never followed. */

import { type Dirent, lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';
import { fromNodeError } from '../../kernel/kernel-error.js';
import type { PutEntry } from './put-source.js';

export interface TreeReport {
  /** Sockets, pipes, devices and names that are not UTF-8, by reason. */
  readonly unsupported: Readonly<Record<string, number>>;
  /** Directories that could not be read, with the error. */
  readonly failed: readonly string[];
}

/** Entries of one tree, and what was left out of it once the walk is over. */
export class FileTree implements Iterable<PutEntry> {
  readonly #root: string;
  readonly #prefix: string;
  readonly #unsupported: Record<string, number> = {};
  readonly #failed: string[] = [];

  /**
   * @param name the object name of `path`, and the prefix of all below it.
   * @throws MaintenanceError ERR_TARGET_NOT_FOUND when there is nothing at `path`.
   */
  constructor(path: string, name: string = basename(resolve(path))) {
    this.#root = resolve(path);
    this.#prefix = checkObjectName(name);
    lstat(this.#root);
  }

  get report(): TreeReport {
    return { unsupported: this.#unsupported, failed: this.#failed };
  }

  *[Symbol.iterator](): Generator<PutEntry> {
    yield* this.#walk(this.#root, this.#prefix);
  }

  /** Depth first, names in byte order: the same tree always gives the same order. */
  *#walk(path: string, name: string): Generator<PutEntry> {
    let stats: Stats;
    let names: string[] = [];
    try {
      stats = lstat(path);
      if (stats.isDirectory()) names = this.#namesIn(path);
    } catch (cause) {
      this.#failed.push(fromNodeError('read', cause, path).message);
      return;
    }
    const entry = this.#entry(path, name, stats);
    if (entry) yield entry;
    for (const child of names) yield* this.#walk(join(path, child), `${name}/${child}`);
  }

  #namesIn(path: string): string[] {
    const names: string[] = [];
    for (const entry of readdirSync(path, { withFileTypes: true, encoding: 'buffer' })) {
      const bytes = (entry as unknown as Dirent<Buffer>).name;
      const child = bytes.toString('utf8');
      if (Buffer.from(child).equals(bytes)) names.push(child);
      else this.#count('name is not UTF-8');
    }
    return names.sort();
  }

  #entry(path: string, name: string, stats: Stats): PutEntry | null {
    const common = { name, mode: stats.mode & 0o7777, mtimeMs: stats.mtimeMs, content: null };
    if (stats.isFile()) {
      return { ...common, kind: 'file', sizeBytes: stats.size, linkTarget: null, sourcePath: path };
    }
    if (stats.isDirectory()) {
      return { ...common, kind: 'directory', sizeBytes: 0, linkTarget: null, sourcePath: null };
    }
    if (stats.isSymbolicLink()) {
      const linkTarget = readlinkSync(path);
      return { ...common, kind: 'symlink', sizeBytes: 0, linkTarget, sourcePath: null };
    }
    this.#count('not a file, directory or link');
    return null;
  }

  #count(reason: string): void {
    this.#unsupported[reason] = (this.#unsupported[reason] ?? 0) + 1;
  }
}

/** @throws MaintenanceError ERR_USAGE for a name that no path can have. */
export function checkObjectName(name: string): string {
  const parts = name.split('/');
  if (name.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new MaintenanceError('ERR_USAGE', `not an object name: "${name}"`, {
      nextStep: 'Use a relative path without empty, "." or ".." parts, for example backup/photos.',
    });
  }
  return name;
}

function lstat(path: string): Stats {
  try {
    return lstatSync(path);
  } catch (cause) {
    throw fromNodeError('look at', cause, path);
  }
}
