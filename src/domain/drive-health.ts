/**
 * What a drive says of itself, from `smartctl --json`. Pure.
 *
 * NVMe has one log for all makers. SATA drives have attributes, each with a normalised value that
 * falls from 100; which of them tells the wear depends on the maker, so several are tried in turn.
 *
 * Source: NVM Express Base Specification, SMART / Health Information log; smartmontools' drivedb.h.
 */

/** Absent is null: not every drive tells everything. */
export interface DriveFacts {
  readonly model: string | null;
  readonly protocol: string | null;
  /** The drive's own verdict. */
  readonly passed: boolean | null;
  /** Of the rated life; above 1 when it is used beyond it. */
  readonly wearRatio: number | null;
  readonly writtenBytes: number | null;
  readonly powerOnHours: number | null;
  readonly mediaErrors: number | null;
  readonly temperatureC: number | null;
}

export type DriveReport =
  | { readonly kind: 'read'; readonly facts: DriveFacts }
  /** Why nothing is known, in words. */
  | { readonly kind: 'unknown'; readonly reason: string };

/** NVMe counts thousands of 512-byte units. */
const NVME_UNIT_BYTES = 512_000;
const SECTOR_BYTES = 512;

/** Percent of life left, as normalised values: media wearout, life left, wear levelling. */
const LIFE_LEFT_IDS = [231, 233, 202, 169, 177, 173];
const LBAS_WRITTEN_IDS = [241, 246];
const UNCORRECTABLE_ID = 187;

interface Attribute {
  readonly id: number;
  readonly value: number | null;
  readonly raw: number | null;
}

type Json = Readonly<Record<string, unknown>>;

/** @param text what smartctl printed; it prints JSON also when it fails. */
export function parseSmartctl(text: string): DriveReport {
  const root = parse(text);
  if (!root) return { kind: 'unknown', reason: 'smartctl printed no JSON' };
  const nvme = objectAt(root, 'nvme_smart_health_information_log');
  const attributes = attributesOf(root);
  if (!nvme && attributes.length === 0) {
    return { kind: 'unknown', reason: messageOf(root) ?? 'the drive has no SMART data' };
  }
  const common = {
    model: textAt(root, 'model_name'),
    protocol: textAt(objectAt(root, 'device'), 'protocol'),
    passed: booleanAt(objectAt(root, 'smart_status'), 'passed'),
    powerOnHours: numberAt(objectAt(root, 'power_on_time'), 'hours'),
    temperatureC: numberAt(objectAt(root, 'temperature'), 'current'),
  };
  const own = nvme ? nvmeFacts(nvme) : ataFacts(root, attributes);
  return { kind: 'read', facts: { ...common, ...own } };
}

type OwnFacts = Pick<DriveFacts, 'wearRatio' | 'writtenBytes' | 'mediaErrors'>;

function nvmeFacts(log: Json): OwnFacts {
  const used = numberAt(log, 'percentage_used');
  const units = numberAt(log, 'data_units_written');
  return {
    wearRatio: used === null ? null : used / 100,
    writtenBytes: units === null ? null : units * NVME_UNIT_BYTES,
    mediaErrors: numberAt(log, 'media_errors'),
  };
}

function ataFacts(root: Json, attributes: readonly Attribute[]): OwnFacts {
  const find = (ids: readonly number[]) =>
    ids.flatMap((id) => attributes.find((one) => one.id === id) ?? [])[0];
  // Newer versions of smartctl tell it themselves, from the device statistics.
  const used = numberAt(objectAt(root, 'endurance_used'), 'current_percent');
  const left = find(LIFE_LEFT_IDS)?.value ?? null;
  const lbas = find(LBAS_WRITTEN_IDS)?.raw ?? null;
  const blockBytes = numberAt(root, 'logical_block_size') ?? SECTOR_BYTES;
  return {
    wearRatio: used !== null ? used / 100 : left === null ? null : Math.max(0, 100 - left) / 100,
    writtenBytes: lbas === null ? null : lbas * blockBytes,
    mediaErrors: find([UNCORRECTABLE_ID])?.raw ?? null,
  };
}

function attributesOf(root: Json): Attribute[] {
  const table = objectAt(root, 'ata_smart_attributes')?.table;
  if (!Array.isArray(table)) return [];
  return table.flatMap((row: Json) => {
    const id = numberAt(row, 'id');
    if (id === null) return [];
    return { id, value: numberAt(row, 'value'), raw: numberAt(objectAt(row, 'raw'), 'value') };
  });
}

/** smartctl says why it could not, for example that it may not open the device. */
function messageOf(root: Json): string | null {
  const messages = objectAt(root, 'smartctl')?.messages;
  return Array.isArray(messages) ? textAt(messages[0], 'string') : null;
}

function parse(text: string): Json | null {
  try {
    const root: unknown = JSON.parse(text);
    return isObject(root) ? root : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectAt(from: Json | null, key: string): Json | null {
  const value = from?.[key];
  return isObject(value) ? value : null;
}

function numberAt(from: Json | null, key: string): number | null {
  const value = from?.[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function textAt(from: unknown, key: string): string | null {
  const value = isObject(from) ? from[key] : null;
  return typeof value === 'string' ? value : null;
}

function booleanAt(from: Json | null, key: string): boolean | null {
  const value = from?.[key];
  return typeof value === 'boolean' ? value : null;
}
