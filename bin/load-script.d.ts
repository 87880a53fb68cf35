import type { Script } from 'node:vm';

// biome-ignore lint/suspicious/noExplicitAny: a bundle exports what it likes.
type Exports = any;

export function loadScript(path: string): Exports;
export function readScript(path: string): string;
export function runScript(
  path: string,
  source: string,
  compiled?: Buffer,
): { exports: Exports; script: Script };
export function compiledOf(path: string, source: string): Buffer | undefined;
export function compiledPath(path: string): string;
export function compiledMark(source: string): string;
