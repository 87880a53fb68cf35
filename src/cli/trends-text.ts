/** Trends as lines with small pictures. */

import { DAY_MS, filledRatio, TREND_SPAN_MS, type TrendFigures } from '../domain/trends.js';
import { formatBytes } from '../domain/units.js';
import { paybackLines } from './payback-view.js';
import { sparkline } from './sparkline.js';
import { capitalised } from './text.js';
import type { TrendsView } from './trends-schemas.js';

export function trendsText(view: TrendsView, isUnicode: boolean): string {
  return ['Trends:', ...trendLines(view, isUnicode)].join('\n');
}

/** Indented by two, as part of whatever they are shown in. */
export function trendLines(view: TrendsView, isUnicode: boolean): string[] {
  const { span, fromMs, toMs } = view;
  const known = view.points.flatMap(({ figures }) => (figures ? [figures] : []));
  const last = known.at(-1);
  const lines = [`  Each ${span} from ${dayText(fromMs)} to ${dayText(toMs)} (UTC)`];
  if (!last) lines.push('  Nothing is recorded yet: a running agent does so each minute.');
  const row = (label: string, pick: (point: Point) => number | null, text: string) => {
    lines.push(`  ${`${label}:`.padEnd(15)} ${sparkline(series(view, pick), isUnicode)} ${text}`);
  };
  if (last) {
    const ratios = known.flatMap(({ fragmentationRatio: one }) => (one === null ? [] : [one]));
    if (ratios.length > 0) {
      row('Fragmentation', ({ figures }) => figures?.fragmentationRatio ?? null, measured(last));
    }
    const filled = ({ figures }: Point) => (figures ? filledRatio(figures) : null);
    row('Filled', filled, `${share(filledRatio(last))} of ${formatBytes(last.capacityBytes)}`);
    row('Free', ({ figures }) => figures?.freeBytes ?? null, formatBytes(last.freeBytes));
    if (known.some(({ pendingBytes }) => pendingBytes > 0)) {
      row(
        'Pending',
        ({ figures }) => figures?.pendingBytes ?? null,
        formatBytes(last.pendingBytes),
      );
    }
  }
  const worn = `${formatBytes(sum(view, 'rewrittenBytes'))}, ${formatBytes(view.rewrittenTodayBytes)} today`;
  row('Rewritten', ({ rewrittenBytes }) => rewrittenBytes, worn);
  row(
    'Reclaimed',
    ({ reclaimedBytes }) => reclaimedBytes,
    formatBytes(sum(view, 'reclaimedBytes')),
  );
  return [...lines, ...forecastLines(view), ...paybackLines(view.payback)];
}

type Point = TrendsView['points'][number];

/** One value per hour or day; nothing is known of those that were not recorded. */
function series(
  { span, fromMs, toMs, points }: TrendsView,
  pick: (point: Point) => number | null,
): (number | null)[] {
  const spanMs = TREND_SPAN_MS[span];
  const byStart = new Map(points.map((point) => [point.startMs, point]));
  const count = Math.floor((toMs - fromMs) / spanMs) + 1;
  return Array.from({ length: count }, (_, n) => {
    const point = byStart.get(fromMs + n * spanMs);
    return point ? pick(point) : null;
  });
}

function sum({ points }: TrendsView, of: 'rewrittenBytes' | 'reclaimedBytes'): number {
  return points.reduce((total, point) => total + point[of], 0);
}

function measured({ fragmentationRatio, analyzedAtMs }: TrendFigures): string {
  if (fragmentationRatio === null || analyzedAtMs === null) return 'not measured';
  return `${share(fragmentationRatio)}, measured ${new Date(analyzedAtMs).toISOString().slice(0, 16).replace('T', ' ')}`;
}

/** One per threshold. */
function forecastLines({ forecasts, toMs }: Pick<TrendsView, 'forecasts' | 'toMs'>): string[] {
  return Object.entries(forecasts).map(
    ([of, forecast]) => `  ${capitalised(of)} forecast: ${forecastText(forecast, toMs)}`,
  );
}

function forecastText(view: TrendsView['forecasts']['capacity'], nowMs: number): string {
  const { threshold, measured, state, atMs, perDay } = view;
  const growth = perDay === null ? '' : `${(perDay * 100).toFixed(2)} points a day`;
  if (state === 'passed') return `${share(measured)} is over the threshold of ${share(threshold)}`;
  if (state === 'too-little-data') return 'too little data: at least 4 figures over 3 days';
  if (atMs === null) return `${share(threshold)} is not in sight (${growth})`;
  const days = Math.round((atMs - nowMs) / DAY_MS);
  return `${share(threshold)} on ${dayText(atMs)}, in ${days} days (${growth})`;
}

function share(ratio: number | null): string {
  return ratio === null ? 'unknown' : `${(ratio * 100).toFixed(2)}%`;
}

function dayText(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}
