/** Gives the memory of a reply to the thread that asked, which then is not copied. */

import { Piscina } from 'piscina';

/** @param buffers nobody else refers to; they are empty here afterwards. */
export function handOver(reply: unknown, buffers: readonly ArrayBufferLike[]): unknown {
  if (buffers.length === 0) return reply;
  const movable = { [Piscina.transferableSymbol]: buffers, [Piscina.valueSymbol]: reply };
  // Piscina's types know single buffers only; by its documentation any object with these two will do.
  return Piscina.move(movable as unknown as ArrayBuffer);
}
