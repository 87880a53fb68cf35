/**
 * What a benchmark hands back: rows of samples, each with the target that it is held against.
 *
 * A ratio is taken within one pair of runs that directly follow each other, then the median over the
 * pairs: on a machine that others use, too, only neighbours can be compared.
 */

/** @param target `{ atLeast }`, `{ below }` or null for a figure that is only told. */
export function row(what, unit, values, target = null) {
  const sorted = [...values].sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  const median = medianOf(sorted);
  return { what, unit, min, median, max, count: sorted.length, target, met: isMet(target, median) };
}

export function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function isMet(target, value) {
  if (target === null) return null;
  return 'atLeast' in target ? value >= target.atLeast : value <= target.below;
}

/** @returns milliseconds that `body` took. */
export async function timeMs(body) {
  const startedAtMs = performance.now();
  await body();
  return performance.now() - startedAtMs;
}

export const MIB = 1024 * 1024;
export const KIB = 1024;

export function mibPerSecond(bytes, ms) {
  return bytes / MIB / (ms / 1000);
}

/**
 * Numbers from 0 to 1 that are the same in every run.
 *
 * Source: xorshift32, Marsaglia, "Xorshift RNGs" (2003).
 */
export function seededRandom(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** As many small as large ones, by order of magnitude. */
export function logUniform(random, from, to) {
  return Math.exp(Math.log(from) + random() * Math.log(to / from));
}
