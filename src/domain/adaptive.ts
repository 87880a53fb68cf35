/**
 * Adaptive mode: learns for each hour of the week how much others use the devices and how fast the
 * pool becomes fragmented, and picks the quietest hour before maintenance is due. Pure.
 *
 * It only ever begins earlier than the fixed schedule, never later, and never works harder than the
 * policy allows: what it learned wrong costs a worse hour, not the policy. What it knows is one row for
 * each of 168 hours, in which old weeks fade.
 */

import type { Intensity } from './defrag-plan.js';

export const HOURS_PER_WEEK = 168;

/** What is known of one hour of the week. */
export interface HourKnowledge {
  /** Samples that went in, older ones counting less; 0 when it was never seen. */
  readonly weight: number;
  /** Share of the time in which others had requests at the devices. */
  readonly loadRatio: number;
  /** By how much the fragmentation ratio grew in such an hour, while nothing was defragmented. */
  readonly growthRatio: number;
}

/** One hour that has passed. */
export interface HourSample {
  readonly loadRatio: number;
  /** Null for an hour in which we defragmented, or that no analysis covered. */
  readonly growthRatio: number | null;
}

/** What the policy allows, and how it stands. */
export interface AdaptiveQuestion {
  /** 0 to 167, in the time zone of the policy. */
  readonly hourOfWeek: number;
  readonly fragmentationRatio: number;
  readonly thresholdRatio: number;
  /** Until the fixed schedule begins. */
  readonly hoursToSchedule: number;
  /** The most that the policy allows. */
  readonly intensity: Intensity;
  /** Hours of the week in which windows and quiet hours let it begin; all of them where null. */
  readonly allowedHours: ReadonlySet<number> | null;
}

export interface AdaptiveChoice {
  readonly begin: boolean;
  readonly intensity: Intensity;
  /** The hour of the week that it waits for, or this one. */
  readonly chosenHour: number;
  /** With the figures that were compared. */
  readonly reason: string;
}

export const UNKNOWN_HOUR: HourKnowledge = { weight: 0, loadRatio: 0, growthRatio: 0 };

/** What a week-old sample counts beside a new one: about six weeks are remembered. */
const WEEK_DECAY = 0.8;
/** Hours that must have been seen before any is preferred: without this a new pool waits for luck. */
const KNOWN_HOURS_MIN = 0.9 * HOURS_PER_WEEK;
/** A later hour must be quieter by this much of the time to be worth waiting for. */
const WORTH_WAITING_RATIO = 0.02;
/** With less load than this others do not notice. */
const QUIET_RATIO = 0.1;
const BUSY_RATIO = 0.4;
/** It does not begin early for less than this part of the threshold. */
const WORTH_BEGINNING_PART = 0.1;

/** @returns what is known after another such hour. */
export function learned(known: HourKnowledge, sample: HourSample): HourKnowledge {
  const kept = known.weight * WEEK_DECAY;
  const mean = (before: number, now: number) => (before * kept + now) / (kept + 1);
  const { loadRatio, growthRatio } = sample;
  return {
    weight: kept + 1,
    loadRatio: mean(known.loadRatio, loadRatio),
    growthRatio: growthRatio === null ? known.growthRatio : mean(known.growthRatio, growthRatio),
  };
}

/** @param week what is known of each of the 168 hours, by hour of the week. */
export function chooseHour(
  week: readonly HourKnowledge[],
  question: AdaptiveQuestion,
): AdaptiveChoice {
  const { hourOfWeek, intensity } = question;
  const knownCount = week.filter(({ weight }) => weight > 0).length;
  const dueInHours = hoursToDue(week, question);
  const isDue = dueInHours === 0;
  if (knownCount < KNOWN_HOURS_MIN) {
    const reason = `still learning: ${knownCount} of ${HOURS_PER_WEEK} hours of the week were seen`;
    return { begin: isDue, intensity, chosenHour: hourOfWeek, reason };
  }
  const loadNow = loadOf(week, hourOfWeek);
  const pace = paceFor(loadNow, intensity);
  const now = { intensity: pace, chosenHour: hourOfWeek };
  const usually = `others usually use the devices ${percent(loadNow)} of this hour`;
  if (isDue) return { ...now, begin: true, reason: `it is due; ${usually}` };
  const best = quietest(week, question, dueInHours);
  const waits = best !== hourOfWeek && loadOf(week, best) < loadNow - WORTH_WAITING_RATIO;
  if (waits || !isAllowed(question, hourOfWeek)) {
    const reason = `${usually}, and ${percent(loadOf(week, best))} of ${hourName(best)}, before it is due in ${dueInHours} h`;
    return { begin: false, intensity: pace, chosenHour: best, reason };
  }
  const isWorth = question.fragmentationRatio >= question.thresholdRatio * WORTH_BEGINNING_PART;
  const state = `${percent(question.fragmentationRatio)} are fragmented, due above ${percent(question.thresholdRatio)}`;
  const reason = isWorth
    ? `${usually}, and no hour before it is due in ${dueInHours} h is quieter; ${state}`
    : `there is too little to do: ${state}`;
  return { ...now, begin: isWorth, reason };
}

/** When the fixed schedule would begin: at its time, or when the threshold is expected to be crossed. */
function hoursToDue(week: readonly HourKnowledge[], question: AdaptiveQuestion): number {
  const { hourOfWeek, thresholdRatio } = question;
  const hoursMax = Math.min(HOURS_PER_WEEK, Math.max(0, Math.floor(question.hoursToSchedule)));
  let ratio = question.fragmentationRatio;
  for (let hours = 0; hours < hoursMax; hours += 1) {
    if (ratio > thresholdRatio) return hours;
    ratio += week[(hourOfWeek + hours) % HOURS_PER_WEEK]?.growthRatio ?? 0;
  }
  return hoursMax;
}

/** The first of the quietest hours from now until it is due. */
function quietest(
  week: readonly HourKnowledge[],
  question: AdaptiveQuestion,
  dueInHours: number,
): number {
  const hours = Array.from(
    { length: dueInHours + 1 },
    (_, n) => (question.hourOfWeek + n) % HOURS_PER_WEEK,
  ).filter((hour) => isAllowed(question, hour));
  const first = hours[0] ?? question.hourOfWeek;
  return hours.reduce((a, b) => (loadOf(week, b) < loadOf(week, a) ? b : a), first);
}

function isAllowed({ allowedHours }: AdaptiveQuestion, hour: number): boolean {
  return allowedHours === null || allowedHours.has(hour);
}

function loadOf(week: readonly HourKnowledge[], hour: number): number {
  return week[hour]?.loadRatio ?? 0;
}

/** The policy's intensity while it is quiet, less the more others do. */
function paceFor(loadRatio: number, most: Intensity): Intensity {
  if (loadRatio < QUIET_RATIO) return most;
  if (loadRatio < BUSY_RATIO) return most === 'high' ? 'medium' : most;
  return 'low';
}

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

/** Hour 0 is Monday from midnight to one. */
function hourName(hour: number): string {
  return `${DAYS[Math.floor(hour / 24)] ?? ''} ${String(hour % 24).padStart(2, '0')}:00`;
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(0)} %`;
}
