/** Gathers what `doctor` judges. Reads only, and never fails for what cannot be read. */

import { existsSync } from 'node:fs';
import { type DeviceLayer, layersTopDown } from '../../domain/device-layers.js';
import { type DoctorFacts, diagnose, type Finding, type LoopHost } from '../../domain/doctor.js';
import type { DetectedMount } from '../../domain/mounts.js';
import type { XfsMove } from '../../domain/move-tasks.js';
import { effectiveCapabilities } from '../../kernel/capabilities.js';
import { readLayers } from '../../kernel/device-layers.js';
import { readExt4Features } from '../../kernel/ext4-features.js';
import { findMaintainers } from '../../kernel/maintainers.js';
import { detectMount } from '../../kernel/mount-info.js';

/** @param xfsMove from the geometry of a mounted XFS; null where it is not known. */
export function gatherFacts(mount: DetectedMount, xfsMove: XfsMove | null): DoctorFacts {
  const [device] = mount.devices;
  const layers = layersOf(mount);
  return {
    mount,
    layers,
    hosts: layers.flatMap(layersTopDown).flatMap(hostOf),
    ext4Features: mount.fsType === 'ext4' && device ? readExt4Features(device.path) : null,
    xfsMove,
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

export function examineMount(mount: DetectedMount, xfsMove: XfsMove | null = null): Finding[] {
  return diagnose(gatherFacts(mount, xfsMove));
}
