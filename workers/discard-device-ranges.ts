/**
 * Discards ranges of a raw device, and looks whether it did.
 *
 * A device does not show what it holds. Evidence is that the call succeeded, that the device still
 * says it discards, since a refusal below it is reported as success, and its own count of discarded
 * bytes.
 */

import { describeLayers, dropReason, firstDropping } from '../src/domain/device-layers.js';
import { asMaintenanceError, MaintenanceError } from '../src/domain/errors.js';
import type { DeviceDiscardTask, DiscardOutcome, DiscardTask } from '../src/domain/tasks.js';
import type { ByteRun } from '../src/domain/units.js';
import { crashPoint } from '../src/kernel/crash-point.js';
import { readLayers } from '../src/kernel/device-layers.js';
import { discardedBytes, waitForDiscards } from '../src/kernel/discard-counters.js';
import { discardDevice, eraseDevice } from '../src/kernel/discard-device.js';
import { discardLimits } from '../src/kernel/discard-limits.js';
import { Pace } from './move-pace.js';

/** @returns one outcome per range, in order. */
export function discardOnDevice(
  { ranges, secureErase, control }: DiscardTask,
  device: DeviceDiscardTask,
): DiscardOutcome[] {
  const beforeBytes = discardedBytes(device.name);
  const pace = new Pace(control);
  const errors = ranges.map((range) => {
    const error = discardOne(range, secureErase, device);
    pace.breathe();
    return error;
  });
  crashPoint('discard-punched');
  const askedBytes = ranges.reduce(
    (sum, range, index) => sum + (errors[index] === null ? range.lengthBytes : 0),
    0,
  );
  waitForDiscards(device.name, beforeBytes + askedBytes);
  const isCounted = discardedBytes(device.name) - beforeBytes >= askedBytes;
  const wasRefused = discardLimits(device.name).maxBytes === 0;
  crashPoint('discard-confirmed');
  return ranges.map((range, index) => {
    const error = errors[index] ?? (wasRefused ? noDiscard(device) : null);
    if (error) return failed(error);
    // Counters can be turned off (queue/iostats), and some drivers keep none.
    const confirmedBytes = isCounted ? range.lengthBytes : 0;
    return {
      kind: 'discarded',
      confirmable: isCounted,
      confirmedBytes,
      reclaimedBytes: confirmedBytes,
    };
  });
}

function discardOne(
  range: ByteRun,
  secureErase: boolean,
  device: DeviceDiscardTask,
): MaintenanceError | null {
  try {
    if (secureErase) eraseDevice(device.grant, range);
    crashPoint('discard-erased');
    if (device.stepBytesMax === 0) return noDiscard(device);
    discardDevice(device.grant, range, device.stepBytesMax);
    return null;
  } catch (cause) {
    return asMaintenanceError(cause);
  }
}

function failed(error: MaintenanceError): DiscardOutcome {
  if (error.code === 'ERR_UNSUPPORTED') return { kind: 'unsupported', error: error.toWire() };
  return { kind: 'failed', error: error.toWire(), isRefused: false };
}

/** Says which layer takes no discards, and what changes that. */
function noDiscard({ grant, name }: DeviceDiscardTask): MaintenanceError {
  const top = readLayers(name);
  const layer = top && (firstDropping(top) ?? top);
  const reason = layer && dropReason(layer);
  return new MaintenanceError(
    'ERR_UNSUPPORTED',
    `${grant.path} does not discard: ${reason?.what ?? 'the device is gone'}`,
    {
      ...(reason ? { nextStep: reason.fix } : {}),
      details: { device: grant.path, layers: top && describeLayers(top) },
    },
  );
}
