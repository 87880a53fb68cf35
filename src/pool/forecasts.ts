/** When a pool of either kind will pass the thresholds of its policy. */

import {
  FORECAST_FROM_MS,
  type Foreseen,
  forecastThresholds,
  type ThresholdForecast,
} from '../domain/forecast.js';
import type { MaintenanceContext } from './maintained-pool.js';

export function poolForecasts({
  store,
  clock,
}: MaintenanceContext): Record<Foreseen, ThresholdForecast> {
  const nowMs = clock();
  const days = store.trends.points('day', nowMs - FORECAST_FROM_MS, nowMs);
  return forecastThresholds(days, store.policies.effective(), nowMs);
}
