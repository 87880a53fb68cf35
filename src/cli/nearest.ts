/** Finds the word that somebody may have meant. */

/** More letters than this wrong, and a guess helps nobody. */
const DISTANCE_MAX = 3;

/** @returns the word with the fewest letters to change, or null when none is near. */
export function nearest(asked: string, words: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.min(DISTANCE_MAX, Math.floor(asked.length / 2)) + 1;
  for (const word of words) {
    const distance = editDistance(asked, word);
    if (distance >= bestDistance) continue;
    best = word;
    bestDistance = distance;
  }
  return best;
}

/** Letters to insert, remove or replace (Levenshtein), row by row of the table. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
