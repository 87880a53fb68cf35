/**
 * Looks of one process that fall together: each time a processor is woken, whoever else it works for
 * waits a little. So all that look as often as each other do so in the same moment.
 */

/** @returns ms until the next beat, at least half of `everyMs` away. */
export function untilBeat(everyMs: number): number {
  const restMs = everyMs - (performance.now() % everyMs);
  return restMs < everyMs / 2 ? restMs + everyMs : restMs;
}
