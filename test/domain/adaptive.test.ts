/** Adaptive mode: quieter than the fixed schedule, never later, never harder than the policy. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { simulate, TRACES } from '../../bench/support/adaptive-simulation.mjs';
import * as adaptive from '../../src/domain/adaptive.js';

const { chooseHour, HOURS_PER_WEEK, learned, UNKNOWN_HOUR } = adaptive;

function weekOf(load: (hour: number) => number, growthRatio = 0.001) {
  return Array.from({ length: HOURS_PER_WEEK }, (_, hour) =>
    learned(UNKNOWN_HOUR, { loadRatio: load(hour), growthRatio }),
  );
}

const question: adaptive.AdaptiveQuestion = {
  hourOfWeek: 10,
  fragmentationRatio: 0.2,
  thresholdRatio: 0.3,
  hoursToSchedule: 24,
  intensity: 'medium',
  allowedHours: null,
};

describe('adaptive mode', () => {
  it('waits for the quietest hour before it is due, and says for which and why', () => {
    const week = weekOf((hour) => (hour % 24 === 3 ? 0.01 : 0.5));
    const waiting = chooseHour(week, question);
    expect(waiting).toMatchObject({ begin: false, chosenHour: 27 });
    expect(waiting.reason).toBe(
      'others usually use the devices 50 % of this hour, and 1 % of Tuesday 03:00, before it is due in 24 h',
    );
    expect(chooseHour(week, { ...question, hourOfWeek: 27 })).toMatchObject({ begin: true });
  });

  it('does not wait for an hour after the threshold is expected to be crossed', () => {
    const week = weekOf((hour) => (hour % 24 === 3 ? 0.01 : 0.5), 0.02);
    expect(chooseHour(week, question)).toMatchObject({ begin: true, intensity: 'low' });
  });

  it('keeps to the fixed schedule until it has seen the week', () => {
    const week = Array.from({ length: HOURS_PER_WEEK }, () => UNKNOWN_HOUR);
    expect(chooseHour(week, question)).toMatchObject({ begin: false });
    expect(chooseHour(week, { ...question, hoursToSchedule: 0 })).toMatchObject({
      begin: true,
      intensity: 'medium',
      reason: 'still learning: 0 of 168 hours of the week were seen',
    });
  });

  it('forgets a habit that ended within weeks', () => {
    let known = UNKNOWN_HOUR;
    for (let week = 0; week < 20; week += 1)
      known = learned(known, { loadRatio: 0.9, growthRatio: 0 });
    for (let week = 0; week < 10; week += 1)
      known = learned(known, { loadRatio: 0, growthRatio: 0 });
    expect(known.loadRatio).toBeLessThan(0.1);
    expect(known.weight).toBeLessThan(5.1);
  });

  it('always begins when it is due, never harder than the policy, in hours that it allows', () => {
    const ratio = fc.double({ min: 0, max: 1, noNaN: true });
    const hour = fc.integer({ min: 0, max: HOURS_PER_WEEK - 1 });
    fc.assert(
      fc.property(
        fc.array(ratio, { minLength: HOURS_PER_WEEK, maxLength: HOURS_PER_WEEK }),
        hour,
        ratio,
        fc.integer({ min: 0, max: 48 }),
        fc.constantFrom('low', 'medium', 'high'),
        fc.uniqueArray(hour, { minLength: 1 }),
        (loads, hourOfWeek, fragmentationRatio, hoursToSchedule, intensity, allowed) => {
          const week = weekOf((at) => loads[at] ?? 0);
          const allowedHours = new Set(allowed);
          const asked = {
            ...question,
            hourOfWeek,
            fragmentationRatio,
            hoursToSchedule,
            intensity,
            allowedHours,
          };
          const choice = chooseHour(week, asked);
          const rank = ['low', 'medium', 'high'];
          expect(rank.indexOf(choice.intensity)).toBeLessThanOrEqual(rank.indexOf(intensity));
          const isDue = hoursToSchedule === 0 || fragmentationRatio > question.thresholdRatio;
          if (isDue) expect(choice.begin).toBe(true);
          else if (choice.begin) expect(allowedHours.has(hourOfWeek)).toBe(true);
        },
      ),
    );
  });

  it.each(Object.entries(TRACES))(
    'costs others no more than the fixed schedule: %s',
    (name, load) => {
      const fixed = simulate(adaptive, load, false);
      const chosen = simulate(adaptive, load, true);
      expect(chosen.interferenceHours).toBeLessThanOrEqual(fixed.interferenceHours * 1.05);
      expect(chosen.fragmentedHours).toBeLessThanOrEqual(fixed.fragmentedHours + 1);
      expect(chosen.writtenGib).toBeLessThan(fixed.writtenGib * 1.1);
      if (name === 'office hours') {
        expect(chosen.interferenceHours).toBeLessThan(fixed.interferenceHours / 4);
      }
    },
  );
});
