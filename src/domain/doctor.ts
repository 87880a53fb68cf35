/** What a look at a mount and at the devices below it says to who wants it maintained. Pure. */

import {
  type DeviceLayer,
  describeLayers,
  dropReason,
  firstDropping,
  layersTopDown,
} from './device-layers.js';
import { analysisFindings, defragFindings } from './doctor-files.js';
import { type DoctorFacts, FINDING_SEVERITIES, type Finding, finding } from './findings.js';
import type { DetectedMount } from './mounts.js';

/** @returns what is wrong first; never empty. */
export function diagnose(facts: DoctorFacts): Finding[] {
  const findings = [
    ...privilegeFindings(facts),
    ...mountFindings(facts),
    ...trimFindings(facts),
    ...analysisFindings(facts),
    ...defragFindings(facts),
    ...maintainerFindings(facts),
  ];
  const rank = (finding: Finding) => FINDING_SEVERITIES.indexOf(finding.severity);
  return findings.sort((a, b) => rank(a) - rank(b));
}

function privilegeFindings({ canAdminister, canOpenByHandle }: DoctorFacts): Finding[] {
  if (canAdminister && canOpenByHandle) return [];
  const missing = [
    ...(canAdminister ? [] : ['CAP_SYS_ADMIN']),
    ...(canOpenByHandle ? [] : ['CAP_DAC_READ_SEARCH']),
  ].join(' and ');
  const what = `without ${missing} only the analysis by a walk works`;
  return [finding('problem', 'privileges', what, 'run dynamicfs as root')];
}

function mountFindings({ mount, layers, hosts }: DoctorFacts): Finding[] {
  const { entry, fsType } = mount;
  const stack = layers.map(describeLayers).join('; ') || 'no block device';
  const findings = [finding('ok', 'mount', `${entry.typeName} at ${entry.mountPath}: ${stack}`)];
  for (const { loopName, mountPath, typeName, layers: below } of hosts) {
    const rest = below.map(describeLayers).join('; ') || 'no block device';
    const what = `its file lies on ${typeName} at ${mountPath} (${rest}), which gets the space back: trim that mount, too`;
    findings.push(finding('info', loopName, what));
  }
  if (mount.isReadOnly) {
    const fix = `mount -o remount,rw ${entry.mountPath}, after a look into the kernel log for why it is read-only`;
    findings.push(finding('problem', 'mount', 'mounted read-only: nothing is changed on it', fix));
  }
  if (fsType === 'other') {
    const what = `${entry.typeName} can be analysed where it has FIEMAP, and not be maintained`;
    findings.push(finding('problem', 'mount', what, 'use ext4, XFS or Btrfs'));
  }
  if (!mount.isWhole) {
    const what = `only ${entry.root} of the file system is mounted here; a trim concerns all of it`;
    findings.push(finding('info', 'mount', what));
  }
  return findings;
}

function trimFindings({ mount, layers }: DoctorFacts): Finding[] {
  if (mount.fsType === 'other') return [];
  const findings: Finding[] = [];
  for (const top of layers) {
    const culprit = firstDropping(top);
    if (culprit) {
      const { what, fix } = dropReason(culprit);
      // A loop device, or a disk of a hypervisor, says that it rotates without being asked to.
      const isHardDisk = culprit.kind === 'disk' && culprit.isRotational && !culprit.isVirtual;
      const severity = isHardDisk ? 'info' : 'problem';
      findings.push(finding(severity, culprit.name, `no trim: ${what}`, fix));
    } else {
      const granularity = top.discardGranularityBytes;
      const what = `discards get through from ${top.name} down, ${granularity} bytes at least`;
      findings.push(finding('ok', 'trim', what), ...hiddenDrops(top));
    }
  }
  return [...findings, ...onlineDiscard(mount), ...trimHabits(mount, layers)];
}

/** Above what takes none, a layer may say that it takes some: a stack of several members does. */
function hiddenDrops(top: DeviceLayer): Finding[] {
  return layersTopDown(top)
    .filter((layer) => layer.discardMaxBytes === 0 && layer.below.length === 0)
    .map((layer) => {
      const { what, fix } = dropReason(layer);
      return finding('warning', layer.name, `part of the discards is lost: ${what}`, fix);
    });
}

function onlineDiscard({ entry, fsType }: DetectedMount): Finding[] {
  const option = [...entry.options, ...entry.superOptions].find((name) => /^discard/.test(name));
  if (option === undefined) return [];
  if (option === 'discard=async') {
    const what = 'discard=async: Btrfs gives back what is freed by itself, little is left to trim';
    return [finding('info', 'trim', what)];
  }
  const what = `mounted with ${option}: each deletion waits for the device, and there is little left to trim`;
  const fix =
    fsType === 'btrfs'
      ? `mount -o remount,discard=async ${entry.mountPath}`
      : `mount -o remount,nodiscard ${entry.mountPath}, and leave it to dynamicfs`;
  return [finding('warning', 'trim', what, fix)];
}

function trimHabits({ fsType }: DetectedMount, layers: readonly DeviceLayer[]): Finding[] {
  const isLoop = layers.some((layer) => layer.kind === 'loop');
  const confirm = isLoop
    ? 'what a trim frees is confirmed by the blocks of the file behind the loop device'
    : 'what a trim frees cannot be confirmed on this device: its size is asked, not seen';
  const habit = {
    ext4: 'ext4 leaves out groups in which nothing was freed since their last trim and this mount',
    xfs: 'XFS names whole ranges as trimmed; dynamicfs counts the free space in them',
    btrfs: 'Btrfs is trimmed by chunk, and all that belongs to no chunk along with the first one',
    other: '',
  }[fsType];
  return [finding('info', 'trim', confirm), finding('info', 'trim', habit)];
}

function maintainerFindings({ maintainers, mount }: DoctorFacts): Finding[] {
  const others = maintainers.filter(({ does }) => does !== 'check' && does !== 'balance');
  const findings = maintainers.map(({ name, path, does }) => {
    if (does === 'trim') return trimMaintainer(name, path, mount);
    // What nobody does a second time is no trouble, and there is nothing to fix.
    if (does !== 'defragment') {
      return finding('info', 'maintainers', `${name} will ${does} it (${path})`);
    }
    const what = `${name} will ${does} it, too (${path})`;
    return finding('warning', 'maintainers', what, disableLine(name, path));
  });
  if (others.length > 0) return findings;
  return [...findings, finding('ok', 'maintainers', 'nothing else trims or defragments it')];
}

function trimMaintainer(name: string, path: string, { fsType }: DetectedMount): Finding {
  const harm =
    fsType === 'xfs'
      ? 'it stalls writers for as long as it takes'
      : 'it does the work a second time, all at once';
  return finding(
    'warning',
    'maintainers',
    `${name} trims it, too (${path}): ${harm}`,
    disableLine(name, path),
  );
}

function disableLine(name: string, path: string): string {
  if (name.endsWith('.timer')) return `systemctl disable --now ${name}`;
  const isTable = path.includes('/cron.d/') || path.endsWith('/crontab');
  return isTable ? `take it out of ${path}` : `chmod -x ${path}`;
}
