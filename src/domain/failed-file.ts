/**
 * How a file that could not be moved is told of: by its own name, also where it is the donor that
 * failed, of which nobody but us knows. Pure.
 */

import type { WireError } from './errors.js';

/** @param path of the user's file, as far as it is known. */
export function ofFile(error: WireError, path: string): WireError {
  const { message, details } = error;
  // Without a path of its own an error was made for the file: its words name it.
  const isNamed = 'path' in details ? details.path === path : message.includes(path);
  return {
    ...error,
    message: isNamed ? message : `${path}: ${message}`,
    details: { ...details, filePath: path },
  };
}

/** Whether it has a path: a file that was opened by its handle may have none that the kernel knows. */
export function isNamed(error: WireError): boolean {
  return nameIn(error).startsWith('/');
}

/** The same with a path that was found for the file later. */
export function renamed(error: WireError, path: string): WireError {
  const name = nameIn(error);
  if (name === '') return ofFile(error, path);
  const { message, details } = error;
  const own = details.path === name ? { path } : {};
  return {
    ...error,
    message: message.replaceAll(name, path),
    details: { ...details, ...own, filePath: path },
  };
}

function nameIn({ details: { filePath, path } }: WireError): string {
  return typeof filePath === 'string' ? filePath : typeof path === 'string' ? path : '';
}

/** What failed, without what it failed with: the call and its errno, which many files have in common. */
export function withoutPaths({ message, details }: WireError): string {
  const { path, filePath } = details;
  let text = message;
  const prefix = `${filePath}: `;
  if (text.startsWith(prefix)) text = text.slice(prefix.length);
  if (typeof path === 'string') text = text.replace(` ${path}`, '');
  if (typeof filePath === 'string') text = text.replaceAll(filePath, 'a file');
  return text;
}
