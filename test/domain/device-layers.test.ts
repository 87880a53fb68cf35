/** What is said of a device by what lies below it. */

import { describe, expect, it } from 'vitest';
import { type DeviceLayer, rotates } from '../../src/domain/device-layers.js';

function layer(changes: Partial<DeviceLayer>): DeviceLayer {
  return {
    name: 'sda',
    kind: 'disk',
    label: 'sda',
    sizeBytes: 1e12,
    discardMaxBytes: 0,
    discardMaxHardwareBytes: 0,
    discardGranularityBytes: 0,
    isRotational: false,
    mdLevel: null,
    backingPath: null,
    provisioningMode: null,
    isUsb: false,
    isVirtual: false,
    model: null,
    below: [],
    ...changes,
  };
}

describe('whether a device rotates', () => {
  const rotating = layer({ isRotational: true });
  it.each([
    ['a hard disk does', rotating, true],
    ['a solid state disk does not', layer({}), false],
    ['a mirror of both does', layer({ kind: 'md', below: [layer({}), rotating] }), true],
    ['a virtual disk may', layer({ isRotational: true, isVirtual: true }), null],
    ['a loop device may', layer({ isRotational: true, kind: 'loop' }), null],
  ])('%s', (_, device, expected) => {
    expect(rotates(device)).toBe(expected);
  });
});
