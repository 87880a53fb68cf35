/**
 * Plays weeks of hours against a schedule: the fixed one, or one that adaptive mode picks. No randomness:
 * noise is a fixed sequence, so that the same trace gives the same figures.
 *
 * A model, not a machine: foreground load is a share of each hour, fragmentation grows with it, and a
 * run at work repairs so much an hour at each intensity, whatever others do meanwhile.
 */

const WEEKS = 12;
/** Weeks that are played and not counted: it learns. */
const WARM_UP_WEEKS = 3;
const HOURS_PER_WEEK = 168;
const THRESHOLD_RATIO = 0.3;
const SCHEDULE_HOURS = 24;
/** By how much an hour of work lowers the fragmentation ratio, and the share of the device it takes. */
const WORK = {
  low: { repairRatio: 0.02, deviceRatio: 0.2 },
  medium: { repairRatio: 0.05, deviceRatio: 0.5 },
  high: { repairRatio: 0.1, deviceRatio: 1 },
};
const GROWTH_PER_LOAD = 0.012;
const POOL_GIB = 1024;

/** Foreground load by hour of the week (Monday 00:00 is 0). Synthetic, each with a plain shape. */
export const TRACES = {
  'office hours': (hour) => (isWorkday(hour) && within(hour % 24, 8, 18) ? 0.7 : 0.05),
  'nightly batch': (hour) => (within(hour % 24, 0, 5) ? 0.8 : 0.15),
  'evenings and weekends': (hour) => (!isWorkday(hour) || within(hour % 24, 18, 24) ? 0.6 : 0.08),
  'flat, all the time': () => 0.3,
};

/** @returns what it cost others (device-hours taken while they wanted the device), and what it did. */
export function simulate({ chooseHour, learned, UNKNOWN_HOUR }, load, isAdaptive) {
  const week = Array.from({ length: HOURS_PER_WEEK }, () => UNKNOWN_HOUR);
  const noise = sequence(7);
  const sum = {
    interferenceHours: 0,
    fragmentedHours: 0,
    writtenGib: 0,
    runCount: 0,
    workHours: 0,
  };
  let ratio = 0.1;
  let intensity = null;
  let sinceRunHours = 0;
  // The first run is when the pool was made: ten in the morning, as such things are.
  for (let at = 10; at < WEEKS * HOURS_PER_WEEK; at += 1) {
    const hourOfWeek = at % HOURS_PER_WEEK;
    const loadRatio = Math.min(1, load(hourOfWeek) * (0.8 + 0.4 * noise()));
    const isCounted = at >= WARM_UP_WEEKS * HOURS_PER_WEEK;
    if (intensity === null) {
      const question = {
        hourOfWeek,
        fragmentationRatio: ratio,
        thresholdRatio: THRESHOLD_RATIO,
        hoursToSchedule: SCHEDULE_HOURS - sinceRunHours,
        intensity: 'medium',
        allowedHours: null,
      };
      const due = ratio > THRESHOLD_RATIO || sinceRunHours >= SCHEDULE_HOURS;
      const choice = isAdaptive ? chooseHour(week, question) : { begin: due, intensity: 'medium' };
      if (choice.begin) {
        intensity = choice.intensity;
        if (isCounted) sum.runCount += 1;
      }
    }
    const growthRatio = GROWTH_PER_LOAD * loadRatio;
    week[hourOfWeek] = learned(week[hourOfWeek], {
      loadRatio,
      growthRatio: intensity === null ? growthRatio : null,
    });
    ratio = Math.min(1, ratio + growthRatio);
    sinceRunHours += 1;
    if (isCounted && ratio > THRESHOLD_RATIO) sum.fragmentedHours += 1;
    if (intensity === null) continue;
    const { repairRatio, deviceRatio } = WORK[intensity];
    const repairedRatio = Math.min(ratio, repairRatio);
    const workedHours = repairedRatio / repairRatio;
    if (isCounted) {
      sum.workHours += workedHours;
      sum.writtenGib += repairedRatio * POOL_GIB;
      sum.interferenceHours += workedHours * deviceRatio * loadRatio;
    }
    ratio -= repairedRatio;
    if (ratio > 0) continue;
    intensity = null;
    sinceRunHours = 0;
  }
  return sum;
}

function isWorkday(hour) {
  return hour < 5 * 24;
}

function within(hour, from, to) {
  return hour >= from && hour < to;
}

/** Numbers from 0 to 1 that only look random. */
function sequence(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
