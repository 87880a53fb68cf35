/** Prints the rows of benchmarks for people, for docs/benchmarks.md and for programs. */

const DECIMALS = { ratio: 2, '%': 2, µs: 0, ms: 0, s: 2, MB: 0, 'MiB/s': 0, '/s': 0, pieces: 1 };

/** One block of text for a terminal. */
export function asText({ name, title, rows }) {
  const width = Math.max(...rows.map((row) => row.what.length));
  const lines = rows.map((row) => {
    const figures = [row.min, row.median, row.max].map((value) => show(value, row).padStart(8));
    return `  ${row.what.padEnd(width)}  ${figures.join(' ')}  ${row.unit.padEnd(6)} ${verdict(row)}`;
  });
  const head = `  ${''.padEnd(width)}  ${['min', 'median', 'max'].map((w) => w.padStart(8)).join(' ')}`;
  return `${name}: ${title}\n${head}\n${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** A heading and a table. */
export function asMarkdown({ name, title, rows }) {
  const lines = rows.map((row) => {
    const cells = [row.min, row.median, row.max].map((value) => show(value, row));
    const unit = row.unit === 'ratio' ? '' : ` (${row.unit})`;
    const what = row.what.replaceAll('|', '\\|');
    return `| ${what}${unit} | ${cells.join(' | ')} | ${targetText(row)} | ${metText(row)} |`;
  });
  return [
    `### ${name}`,
    '',
    `${title}`,
    '',
    '| | min | median | max | target | met |',
    '| --- | ---: | ---: | ---: | ---: | --- |',
    ...lines,
    '',
  ].join('\n');
}

function show(value, { unit }) {
  return value.toFixed(DECIMALS[unit] ?? 1);
}

function targetText({ target, unit }) {
  if (target === null) return '';
  const value = 'atLeast' in target ? target.atLeast : target.below;
  return `${'atLeast' in target ? '≥' : '≤'} ${value}${unit === 'ratio' ? '' : ` ${unit}`}`;
}

function metText({ met }) {
  if (met === null) return '';
  return met ? 'yes' : '**no**';
}

function verdict(row) {
  if (row.target === null) return '';
  return `${targetText(row)}  ${row.met ? 'met' : 'MISSED'}`;
}
