/** Flags that several commands take. */

import { Flags } from '@oclif/core';
import { INTENSITIES, type Intensity, THREADS_MAX } from '../domain/defrag-plan.js';
import { parseLatencyMs } from '../domain/durations.js';
import { MaintenanceError } from '../domain/errors.js';
import { TIERS, type Tier } from '../domain/heat.js';
import { parseSizeBytes } from '../domain/units.js';

export const sizeFlag = Flags.custom<number>({
  helpValue: 'SIZE',
  parse: async (text) => parseSizeBytes(text),
});

export const tierFlag = Flags.custom<Tier>({
  helpValue: TIERS.join('|'),
  parse: async (text) => oneOf('tier', TIERS, text),
});

export const intensityFlag = Flags.custom<Intensity>({
  helpValue: INTENSITIES.join('|'),
  parse: async (text) => oneOf('intensity', INTENSITIES, text),
});

export const threadsFlag = Flags.custom<number>({
  helpValue: 'N',
  parse: async (text) => {
    const count = Number(text);
    if (Number.isInteger(count) && count >= 1 && count <= THREADS_MAX) return count;
    throw new MaintenanceError('ERR_USAGE', `not a number of threads: "${text}"`, {
      nextStep: `Choose 1 to ${THREADS_MAX}.`,
    });
  },
});

/** `5ms`, `0.5ms`, `1s`. */
export const sloFlag = Flags.custom<number>({
  helpValue: 'TIME',
  parse: async (text) => parseLatencyMs(text),
});

/** @throws MaintenanceError ERR_USAGE naming the values that there are. */
function oneOf<T extends string>(what: string, values: readonly T[], text: string): T {
  const found = values.find((value) => value === text);
  if (found) return found;
  throw new MaintenanceError('ERR_USAGE', `unknown ${what}: "${text}"`, {
    nextStep: `Choose one of ${values.join(', ')}.`,
  });
}
