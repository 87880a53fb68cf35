/** What came of the trim of a window, by what its devices and the files behind them show. */

import type {
  DeviceReceipt,
  TrimConfirmation,
  TrimDevice,
  TrimmedWindow,
} from '../src/domain/trim-tasks.js';
import { MIB } from '../src/domain/units.js';
import { discardLimits } from '../src/kernel/discard-limits.js';

/** Superblock copies of Btrfs, and what was freed and taken again while we looked. */
const HELD_BYTES_TOLERATED = MIB;

/** Of one device, before or after. */
export interface Measured {
  readonly discardedBytes: number;
  readonly backingBytes: number | null;
  readonly heldBytes: number | null;
}

type Receipt = Pick<
  TrimmedWindow,
  'devices' | 'deviceDiscardedBytes' | 'confirmedBytes' | 'heldBytes' | 'confirmation'
>;

/** One device that keeps what it was asked to discard makes the whole window refused. */
export function windowReceipt(
  devices: readonly TrimDevice[],
  before: readonly Measured[],
  after: readonly Measured[],
  requestedBytes: number,
): Receipt {
  const receipts: DeviceReceipt[] = [];
  const confirmations: TrimConfirmation[] = [];
  for (const [index, { name }] of devices.entries()) {
    const [was, is] = [before[index], after[index]];
    if (!was || !is) continue;
    const receipt = {
      name,
      discardedBytes: Math.max(0, is.discardedBytes - was.discardedBytes),
      confirmedBytes: confirmedBytes(was, is),
      takesDiscards: takesDiscards(name),
    };
    receipts.push(receipt);
    // That a device takes none is known without looking at what it holds.
    if (!receipt.takesDiscards) continue;
    const asked = devices.length === 1 ? requestedBytes : receipt.discardedBytes;
    confirmations.push(confirmationOf(receipt.confirmedBytes, heldThroughout(was, is), asked));
  }
  return {
    devices: receipts,
    deviceDiscardedBytes: receipts.reduce((sum, device) => sum + device.discardedBytes, 0),
    confirmedBytes: sumOrNull(receipts.map((device) => device.confirmedBytes)),
    heldBytes: sumOrNull(after.map((device) => device.heldBytes)),
    confirmation: worstOf(confirmations),
  };
}

/** Of a device whose file system says that nothing below takes discards. */
export function refusedBy({ name }: TrimDevice): DeviceReceipt {
  return { name, discardedBytes: 0, confirmedBytes: null, takesDiscards: false };
}

/** Where sysfs does not show the device, nothing speaks against it. */
function takesDiscards(name: string): boolean {
  const { maxBytes, sizeBytes } = discardLimits(name);
  return maxBytes > 0 || sizeBytes === null;
}

/** Others write meanwhile: each figure alone may be too low, never too high by our doing. */
function confirmedBytes(before: Measured, after: Measured): number | null {
  const shrunkBytes = difference(before.backingBytes, after.backingBytes);
  const releasedBytes = difference(before.heldBytes, after.heldBytes);
  if (shrunkBytes === null && releasedBytes === null) return null;
  return Math.max(0, shrunkBytes ?? 0, releasedBytes ?? 0);
}

/** What others have written since the free runs were listed is held, too, but was not before. */
function heldThroughout(before: Measured, after: Measured): number | null {
  if (before.heldBytes === null || after.heldBytes === null) return null;
  return Math.min(before.heldBytes, after.heldBytes);
}

function confirmationOf(
  confirmedBytes: number | null,
  heldThroughoutBytes: number | null,
  requestedBytes: number,
): TrimConfirmation {
  if (confirmedBytes === null) return 'not-confirmable';
  if (confirmedBytes > 0) return 'confirmed';
  if (heldThroughoutBytes === null) return 'not-confirmable';
  const isRefused = requestedBytes > 0 && heldThroughoutBytes > HELD_BYTES_TOLERATED;
  return isRefused ? 'refused' : 'nothing-held';
}

/** What the devices say together: a refusal counts, then a confirmation, then a doubt. */
function worstOf(confirmations: readonly TrimConfirmation[]): TrimConfirmation {
  const order = ['refused', 'confirmed', 'not-confirmable', 'nothing-held'] as const;
  return order.find((one) => confirmations.includes(one)) ?? 'not-confirmable';
}

/** Null where one of them cannot tell. */
function sumOrNull(values: readonly (number | null)[]): number | null {
  if (values.length === 0 || values.includes(null)) return null;
  return values.reduce((sum: number, value) => sum + (value ?? 0), 0);
}

function difference(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : before - after;
}
