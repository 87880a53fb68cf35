/** Gathers what `doctor` judges. Reads only, and never fails for what cannot be read. */

import { type DoctorFacts, diagnose, type Finding } from '../../domain/doctor.js';
import type { DetectedMount } from '../../domain/mounts.js';
import { effectiveCapabilities } from '../../kernel/capabilities.js';
import { readLayers } from '../../kernel/device-layers.js';
import { readExt4Features } from '../../kernel/ext4-features.js';
import { findMaintainers } from '../../kernel/maintainers.js';

/** @param xfsCanExchange from the geometry of a mounted XFS; null where it is not known. */
export function gatherFacts(mount: DetectedMount, xfsCanExchange: boolean | null): DoctorFacts {
  const [device] = mount.devices;
  return {
    mount,
    layers: mount.devices.flatMap(({ name }) => readLayers(name) ?? []),
    ext4Features: mount.fsType === 'ext4' && device ? readExt4Features(device.path) : null,
    xfsCanExchange,
    ...effectiveCapabilities(),
    maintainers: findMaintainers(mount.fsType),
  };
}

export function examineMount(
  mount: DetectedMount,
  xfsCanExchange: boolean | null = null,
): Finding[] {
  return diagnose(gatherFacts(mount, xfsCanExchange));
}
