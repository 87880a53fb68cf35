/** Gathers what `doctor` judges. Reads only, and never fails for what cannot be read. */

import { existsSync } from 'node:fs';
import { type DeviceLayer, layersTopDown } from '../../domain/device-layers.js';
import { diagnose } from '../../domain/doctor.js';
import type { DoctorFacts, Finding, LoopHost, XfsFacts } from '../../domain/findings.js';
import type { DetectedMount } from '../../domain/mounts.js';
import { effectiveCapabilities } from '../../kernel/capabilities.js';
import { readLayers } from '../../kernel/device-layers.js';
import { readExt4Features } from '../../kernel/ext4-features.js';
import { findMaintainers } from '../../kernel/maintainers.js';
import { detectMount } from '../../kernel/mount-info.js';

/** @param xfs of a mounted XFS; null where it is not known. */
export function gatherFacts(mount: DetectedMount, xfs: XfsFacts | null): DoctorFacts {
  const [device] = mount.devices;
  const layers = layersOf(mount);
  return {
    mount,
    layers,
    hosts: layers.flatMap(layersTopDown).flatMap(hostOf),
    ext4Features: mount.fsType === 'ext4' && device ? readExt4Features(device.path) : null,
    xfs,
    ...effectiveCapabilities(),
    maintainers: mount.devices.length === 0 ? [] : findMaintainers(mount.fsType),
  };
}

function layersOf({ devices }: DetectedMount): DeviceLayer[] {
  return devices.flatMap(({ name }) => readLayers(name) ?? []);
}

/** Of a loop device. A file that was deleted, or lies in another mount namespace, tells nothing. */
function hostOf({ name, backingPath }: DeviceLayer): LoopHost[] {
  if (backingPath === null || !existsSync(backingPath)) return [];
  try {
    const mount = detectMount(backingPath);
    const { mountPath, typeName } = mount.entry;
    return [{ loopName: name, mountPath, typeName, layers: layersOf(mount) }];
  } catch {
    return [];
  }
}

export function examineMount(mount: DetectedMount, xfs: XfsFacts | null = null): Finding[] {
  return diagnose(gatherFacts(mount, xfs));
}
