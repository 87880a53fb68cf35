/**
 * Policy files, YAML or JSON: what is in them becomes a policy, or every error with its path in the
 * file. Loaded by the commands that read one only, so that the others start without zod and yaml.
 */

import { CronExpressionParser } from 'cron-parser';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { INTENSITIES, THREADS_MAX } from '../domain/defrag-plan.js';
import { LATENCY_MS_MAX, parseDurationMs, parseLatencyMs } from '../domain/durations.js';
import { MaintenanceError } from '../domain/errors.js';
import {
  POLICY_PRESETS,
  type PolicyDocument,
  type PolicyOverrides,
  type PolicyPreset,
} from '../domain/policy.js';
import {
  TRIM_BATCH_BYTES_MAX,
  TRIM_BATCH_BYTES_MIN,
  TRIM_INTENSITIES,
} from '../domain/trim-schedule.js';
import { formatBytes, parseSizeBytes } from '../domain/units.js';

const POLICY_FILE_BYTES_MAX = 1024 * 1024;

/** One thing that is wrong, and where. */
export interface PolicyProblem {
  /** Such as `tiers.hot.defrag.intensity`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

function read(parse: (text: string) => number) {
  return z.union([z.number(), z.string()]).transform((value, context) => {
    if (typeof value === 'number') return value;
    try {
      return parse(value);
    } catch (cause) {
      context.addIssue({ code: 'custom', message: (cause as Error).message });
      return z.NEVER;
    }
  });
}

const ratio = z.number().gt(0).max(1);
const sizeBytes = read(parseSizeBytes).pipe(z.int().positive());
const durationMs = read(parseDurationMs).pipe(z.int().positive());
const [batchMin, batchMax] = [TRIM_BATCH_BYTES_MIN, TRIM_BATCH_BYTES_MAX];
const latencyMs = read(parseLatencyMs).pipe(z.number().positive().max(LATENCY_MS_MAX));
const batchBytes = sizeBytes.refine((bytes) => bytes >= batchMin && bytes <= batchMax, {
  message: `must be ${formatBytes(batchMin)} to ${formatBytes(batchMax)}`,
});
const timeZone = z.string().refine(isTimeZone, { message: 'is no IANA time zone' });
const wallTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be HH:MM, 00:00 to 23:59');

const Defrag = z
  .strictObject({
    enabled: z.boolean(),
    intensity: z.enum(INTENSITIES),
    fragmentationThresholdRatio: ratio,
    minFragments: z.int().min(2).max(1_000_000),
    hotFirst: z.boolean(),
    pauseOnHighLoad: z.boolean(),
    threadCount: z.int().min(1).max(THREADS_MAX),
  })
  .partial();

const Trim = z
  .strictObject({
    enabled: z.boolean(),
    intensity: z.enum(TRIM_INTENSITIES),
    batchBytes,
    secureErase: z.boolean(),
    discardGranularityBytes: sizeBytes.refine((bytes) => Number.isInteger(Math.log2(bytes)), {
      message: 'must be a power of two',
    }),
  })
  .partial();

const thresholds = { capacityThresholdRatio: ratio, fragmentationThresholdRatio: ratio };
const Tier = z.strictObject({ defrag: Defrag, trim: Trim, ...thresholds }).partial();

/** Five fields or a name such as `@daily`; `H` would be another time with each look. */
const CRON_SHAPE = /^(@(hourly|daily|weekly|monthly|yearly)|[^\sHh]+(\s+[^\sHh]+){2}(\s+\S+){2})$/;

const cron = z.string().superRefine((text, context) => {
  const refuse = (message: string) => context.addIssue({ code: 'custom', message });
  if (!CRON_SHAPE.test(text)) {
    refuse('must be five fields, minute hour day month weekday, such as "0 1 * * 1-5"');
    return;
  }
  try {
    CronExpressionParser.parse(text, { tz: 'UTC' }).next();
  } catch (cause) {
    refuse((cause as Error).message);
  }
});

const Window = z.strictObject({ cron, timeZone: timeZone.default('UTC'), durationMs });

const Quiet = z
  .strictObject({ from: wallTime, to: wallTime, timeZone: timeZone.default('UTC') })
  .refine(({ from, to }) => from !== to, { message: 'from and to are the same', path: ['to'] });

const PolicyFile = z
  .strictObject({
    preset: z.enum(POLICY_PRESETS),
    enabled: z.boolean(),
    defrag: Defrag,
    trim: Trim,
    ...thresholds,
    scheduleIntervalMs: durationMs,
    tiers: z.strictObject({ hot: Tier, warm: Tier, cold: Tier }).partial(),
    windows: z.array(Window).max(100),
    quietHours: z.array(Quiet).max(100),
    timeBudgetMs: durationMs.nullable(),
    wearBudgetBytesPerDay: sizeBytes.nullable(),
    sloMs: latencyMs.nullable(),
    adaptive: z.boolean(),
  })
  .partial();

/** @returns the policy, or everything that is wrong with the text. */
export function parsePolicy(
  text: string,
  presetDefault: PolicyPreset,
): { readonly document: PolicyDocument } | { readonly problems: readonly PolicyProblem[] } {
  if (text.length > POLICY_FILE_BYTES_MAX) {
    return { problems: [{ path: '', message: 'is larger than 1 MB' }] };
  }
  const yaml = parseDocument(text, { uniqueKeys: true });
  if (yaml.errors.length > 0) {
    return { problems: yaml.errors.map(({ message }) => ({ path: '', message })) };
  }
  // Aliases are bounded, so that a small file cannot become a huge one.
  return checkPolicy(yaml.toJS({ maxAliasCount: 20 }) ?? {}, presetDefault);
}

/** As `parsePolicy`, of what was read already. */
export function checkPolicy(
  value: unknown,
  presetDefault: PolicyPreset,
): { readonly document: PolicyDocument } | { readonly problems: readonly PolicyProblem[] } {
  const parsed = PolicyFile.safeParse(value);
  if (!parsed.success) return { problems: parsed.error.issues.flatMap(problemsOf) };
  const { preset = presetDefault, ...overrides } = parsed.data;
  return { document: { preset, overrides: overrides as PolicyOverrides } };
}

/** @returns an error that names everything that is wrong. */
export function policyErrors(
  file: string,
  problems: readonly PolicyProblem[],
  nextStep = 'Nothing was changed. docs/policy.md has every field and a complete example.',
): MaintenanceError {
  const lines = problems.map(
    ({ path, message }) => `  ${path === '' ? '(file)' : path}: ${message}`,
  );
  const many = problems.length === 1 ? '1 error' : `${problems.length} errors`;
  return new MaintenanceError('ERR_USAGE', [`${file}: ${many}`, ...lines].join('\n'), {
    nextStep,
    details: { problems },
  });
}

/** A key that is not known is named itself, not the object that it is in. */
function problemsOf(issue: z.core.$ZodIssue): PolicyProblem[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key].join('.'), message: 'is no field' }));
  }
  return [{ path: path.join('.'), message: issue.message }];
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
