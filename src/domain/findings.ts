/** What `doctor` knows of a mount, and what it says. Types, and how a finding is made. Pure. */

import type { DeviceLayer } from './device-layers.js';
import type { DetectedMount } from './mounts.js';
import type { XfsMove } from './move-tasks.js';

/** `problem`: what was asked for will not work; `warning`: it works, but not as one may think. */
export const FINDING_SEVERITIES = ['problem', 'warning', 'info', 'ok'] as const;
export type FindingSeverity = (typeof FINDING_SEVERITIES)[number];

export interface Finding {
  readonly severity: FindingSeverity;
  /** `mount`, `analysis`, `defrag`, `trim`, `privileges`, `maintainers`, or the name of a device. */
  readonly layer: string;
  readonly what: string;
  /** The line or the step that changes it; null where nothing has to be done. */
  readonly fix: string | null;
}

/** Null is "could not be read" throughout. */
export interface DoctorFacts {
  readonly mount: DetectedMount;
  readonly layers: readonly DeviceLayer[];
  /** Where the files behind loop devices lie. */
  readonly hosts: readonly LoopHost[];
  readonly ext4Features: Ext4Features | null;
  readonly xfs: XfsFacts | null;
  readonly canAdminister: boolean;
  readonly canOpenByHandle: boolean;
  readonly maintainers: readonly Maintainer[];
}

/** Of the geometry of a mounted XFS. */
export interface XfsFacts {
  readonly move: XfsMove;
  readonly hasReflink: boolean;
  readonly hasReverseMap: boolean;
}

export interface Ext4Features {
  readonly hasExtents: boolean;
  readonly hasBigalloc: boolean;
  readonly hasEncryption: boolean;
  readonly hasVerity: boolean;
}

/** The mount that holds the file behind a loop device. */
export interface LoopHost {
  readonly loopName: string;
  readonly mountPath: string;
  readonly typeName: string;
  readonly layers: readonly DeviceLayer[];
}

/** Something else on this machine that does the same work. */
export interface Maintainer {
  readonly name: string;
  readonly path: string;
  readonly does: 'trim' | 'defragment' | 'check' | 'balance';
}

export function finding(
  severity: FindingSeverity,
  layer: string,
  what: string,
  fix: string | null = null,
): Finding {
  return { severity, layer, what, fix };
}
