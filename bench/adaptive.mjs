/**
 * The fixed schedule and adaptive mode in a simulation of twelve weeks, of which nine are counted.
 *
 * Synthetic traces and a model of a pool, no machine: the figures say which hours are picked, not how
 * fast anything is. They are the same on every machine.
 */

import { simulate, TRACES } from './support/adaptive-simulation.mjs';
import { row } from './support/figures.mjs';
import { loadDomain } from './support/load-domain.mjs';

export const title = 'Adaptive mode and the fixed schedule, simulated.';

export async function run() {
  const adaptive = await loadDomain('adaptive');
  return Object.entries(TRACES).flatMap(([name, load]) => {
    const [fixed, chosen] = [false, true].map((isOn) => simulate(adaptive, load, isOn));
    const pair = (what, unit, key, target = null) => [
      row(`${name}: ${what}, fixed`, unit, [fixed[key]]),
      row(`${name}: ${what}, adaptive`, unit, [chosen[key]], target),
    ];
    return [
      ...pair('interference', 'device-hours', 'interferenceHours', {
        below: Math.ceil(fixed.interferenceHours * 10.5) / 10,
      }),
      ...pair('above the threshold', 'hours', 'fragmentedHours'),
      ...pair('written', 'GiB', 'writtenGib'),
      ...pair('runs', 'runs', 'runCount'),
    ];
  });
}
