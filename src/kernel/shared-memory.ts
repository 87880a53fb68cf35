/**
 * Memory that threads share and O_DIRECT takes: what one thread reads into it, another sees.
 *
 * Memory of WebAssembly is the only memory of Node that is both shared between threads and aligned
 * to pages.
 */

import { kernelAddon } from './addon.js';

const WASM_PAGE_BYTES = 65_536;

/** Types of Node know its name only; those of browsers have it all. */
declare const WebAssembly: {
  readonly Memory: new (size: {
    initial: number;
    maximum: number;
    shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
};

/** @returns zeros that begin at a page, in huge pages where there are some: at least `sizeBytes`. */
export function alignedSharedMemory(sizeBytes: number): SharedArrayBuffer {
  const pages = Math.ceil(sizeBytes / WASM_PAGE_BYTES);
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  // With pages of 4 KiB the kernel collects a thousand of them for each read or write of 4 MiB.
  kernelAddon().preferHugePages(new Uint8Array(buffer));
  return buffer;
}
