/** What the policy lets a pool rewrite in a day: for what begins by itself. */

import type { MaintenanceContext } from '../pool/maintained-pool.js';
import { wornTodayBytes } from '../store/trends.js';

/** Why a step of a reclamation is left out, or ended before everything was moved. */
export const WORN_OUT = 'the wear budget of the day is used';

export function isWornOut(
  { store, clock }: MaintenanceContext,
  budgetBytesPerDay: number | null,
): boolean {
  return budgetBytesPerDay !== null && wornTodayBytes(store, clock()) >= budgetBytesPerDay;
}
