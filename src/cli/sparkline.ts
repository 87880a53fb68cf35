/** A row of figures as a small picture: one character per figure, its height by its value. */

const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/** For terminals that show nothing but ASCII. */
const ASCII = ['_', '.', ':', '-', '=', '+', '*', '#'];
const UNKNOWN = ' ';
export const SPARK_COLUMNS = 60;

/**
 * @param values null where nothing is known, which leaves a gap. More than `SPARK_COLUMNS` of them
 *   are joined, neighbours by their mean.
 * @returns empty for no values at all. A flat row stays low: what does not change is no news.
 */
export function sparkline(values: readonly (number | null)[], isUnicode: boolean): string {
  const shown = joined(values, Math.ceil(values.length / SPARK_COLUMNS));
  const known = shown.filter((value) => value !== null);
  const least = Math.min(...known);
  const range = Math.max(...known) - least;
  const characters = isUnicode ? BLOCKS : ASCII;
  const top = characters.length - 1;
  const draw = (value: number) =>
    characters[range > 0 ? Math.round(((value - least) / range) * top) : 0];
  return shown.map((value) => (value === null ? UNKNOWN : draw(value))).join('');
}

function joined(values: readonly (number | null)[], size: number): (number | null)[] {
  if (size <= 1) return [...values];
  return Array.from({ length: Math.ceil(values.length / size) }, (_, n) => {
    const known = values.slice(n * size, (n + 1) * size).filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  });
}

/**
 * Whether the locale is of UTF-8, so that a terminal shows more than ASCII.
 *
 * Source: locale(7): the first of these that is set and not empty counts.
 */
export function isUtf8({ LC_ALL, LC_CTYPE, LANG }: NodeJS.ProcessEnv): boolean {
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '');
}
