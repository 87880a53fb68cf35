/** How a pool changed, and when it will pass a threshold, as data. */

import type { ThresholdForecast } from '../domain/forecast.js';
import { DAY_MS, TREND_SPAN_MS, type TrendSpan } from '../domain/trends.js';
import { poolForecasts } from '../pool/forecasts.js';
import type { MaintainedPool } from '../pool/maintained-pool.js';
import { wornTodayBytes } from '../store/trends.js';
import { paybackView } from './payback-view.js';
import { withAnyPool } from './pool-access.js';
import type { Output } from './schemas.js';
import type { TrendsView } from './trends-schemas.js';

export const TREND_DAYS_DEFAULT = 30;

export function showTrends(
  path: string,
  days: number,
  span: TrendSpan,
): Promise<Output<'reclamation trends'>> {
  return withAnyPool(path, 'read', (pool) => trendView(pool, days, span));
}

/** @param days up to now, at least 1. */
export function trendView(
  pool: MaintainedPool,
  days = TREND_DAYS_DEFAULT,
  span: TrendSpan = 'day',
): TrendsView {
  const { context } = pool;
  const { store, clock } = context;
  const nowMs = clock();
  const spanMs = TREND_SPAN_MS[span];
  const lastMs = Math.floor(nowMs / spanMs) * spanMs;
  const fromMs = Math.max(0, lastMs - days * DAY_MS + spanMs);
  const { capacity, fragmentation } = poolForecasts(context);
  return {
    schemaVersion: 1,
    span,
    fromMs,
    toMs: nowMs,
    points: store.trends.points(span, fromMs, nowMs),
    rewrittenTodayBytes: wornTodayBytes(store, nowMs),
    payback: paybackView(pool),
    forecasts: { capacity: forecastView(capacity), fragmentation: forecastView(fragmentation) },
  };
}

function forecastView({ threshold, measured, forecast }: ThresholdForecast) {
  return {
    threshold,
    measured,
    state: forecast.kind,
    atMs: forecast.kind === 'passes' ? forecast.atMs : null,
    perDay: 'perDay' in forecast ? forecast.perDay : null,
  };
}
