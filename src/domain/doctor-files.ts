/** What `doctor` says of how files are analysed and moved. Pure. */

import { layersTopDown } from './device-layers.js';
import { type DoctorFacts, type Finding, finding } from './findings.js';

/** How files are counted, and what makes that slow. */
export function analysisFindings(facts: DoctorFacts): Finding[] {
  const { mount, xfs, canAdminister, canOpenByHandle } = facts;
  if (mount.fsType === 'other') return [];
  if (!mount.isWhole || !canAdminister || !canOpenByHandle) {
    const why = mount.isWhole ? 'without the rights of root' : 'as it shows a part of its files';
    const what = `the analysis walks all directories and opens every file, ${why}`;
    return [finding('info', 'analysis', what)];
  }
  if (mount.fsType === 'xfs' && xfs?.hasReflink && !xfs.hasReverseMap) {
    const what =
      'the analysis asks bulkstat, and once anything was reflinked it opens every file: without rmapbt only the file tells what it shares';
    return [finding('info', 'analysis', what)];
  }
  const from = {
    ext4: 'reads the inode tables on the device',
    xfs: 'asks bulkstat, and opens the files alone that are in several pieces or share blocks',
    btrfs: 'searches the trees, and opens no file',
  }[mount.fsType];
  return [finding('ok', 'analysis', `the analysis ${from}`)];
}

/** Which call of the kernel moves files, why that one, and what is skipped. */
export function defragFindings(facts: DoctorFacts): Finding[] {
  const { mount } = facts;
  if (mount.fsType === 'other') return [];
  const findings = { ext4: ext4Defrag, xfs: xfsDefrag, btrfs: btrfsDefrag }[mount.fsType](facts);
  return [...findings, finding('info', 'defrag', mediumOf(facts))];
}

function mediumOf({ layers, hosts }: DoctorFacts): string {
  const disks = [...layers, ...hosts.flatMap((host) => host.layers)]
    .flatMap(layersTopDown)
    .filter(({ kind, below }) => below.length === 0 && kind !== 'loop');
  if (disks.some(({ isRotational, isVirtual }) => isRotational && !isVirtual)) {
    return 'a rotating disk: every fragment costs a seek';
  }
  const small = 'only files in small fragments are worth a write';
  return disks.some(({ isVirtual }) => isVirtual)
    ? `a virtual disk, of which its host alone knows whether it rotates; if not, ${small}`
    : `no rotating disk: ${small}`;
}

function ext4Defrag({ mount, ext4Features }: DoctorFacts): Finding[] {
  const findings: Finding[] = [];
  const journalsData = mount.entry.superOptions.includes('data=journal');
  if (journalsData) {
    const fix = 'mount it with data=ordered, which takes an unmount';
    findings.push(finding('problem', 'defrag', 'data=journal: ext4 moves no extents then', fix));
  }
  if (!ext4Features) {
    findings.push(
      finding(
        'info',
        'defrag',
        'EXT4_IOC_MOVE_EXT, if the features allow it: the superblock could not be read',
      ),
    );
    return findings;
  }
  const { hasExtents, hasBigalloc, hasEncryption, hasVerity } = ext4Features;
  if (!hasExtents) {
    const fix = 'tune2fs -O extent on the unmounted file system, for files made after that';
    findings.push(
      finding('problem', 'defrag', 'made without extents: its files cannot be moved', fix),
    );
  }
  if (hasBigalloc) {
    findings.push(finding('problem', 'defrag', 'made with bigalloc: ext4 moves no extents then'));
  }
  if (hasEncryption) findings.push(finding('info', 'defrag', 'encrypted files are skipped'));
  if (hasVerity) findings.push(finding('info', 'defrag', 'files under fs-verity are skipped'));
  if (findings.every(({ severity }) => severity !== 'problem')) {
    findings.push(finding('ok', 'defrag', 'files are moved by EXT4_IOC_MOVE_EXT'));
  }
  return findings;
}

/** Each with why it is this one. */
const XFS_CALL = {
  'commit-range': 'XFS_IOC_COMMIT_RANGE, as it was made with exchange',
  'swap-extents': 'XFS_IOC_SWAPEXT, as it was made with rmapbt and without exchange',
  'share-range':
    'FIDEDUPERANGE, as it was made without rmapbt and exchange: after XFS_IOC_SWAPEXT and a crash it might not mount',
};

function xfsDefrag({ mount, xfs }: DoctorFacts): Finding[] {
  const findings: Finding[] = [];
  if (mount.entry.superOptions.some((option) => option.startsWith('rtdev='))) {
    findings.push(finding('info', 'defrag', 'files on the realtime device are skipped'));
  }
  if (!xfs) {
    const what = 'which call moves files is not known: the geometry could not be read';
    return [...findings, finding('info', 'defrag', what)];
  }
  if (xfs.move === 'none') {
    const what =
      'no file is moved: made without reflink, rmapbt and exchange, it may not mount after a crash';
    const fix = 'mkfs.xfs of xfsprogs 6.5 or later, on another device, and copy the files there';
    return [...findings, finding('warning', 'defrag', what, fix)];
  }
  findings.push(finding('ok', 'defrag', `files are moved by ${XFS_CALL[xfs.move]}`));
  if (xfs.hasReflink) {
    findings.push(finding('info', 'defrag', 'what reflinks share is skipped: it would be copied'));
  }
  return findings;
}

function btrfsDefrag({ mount }: DoctorFacts): Finding[] {
  const { superOptions, options } = mount.entry;
  const findings = [
    finding('ok', 'defrag', 'files are moved by BTRFS_IOC_DEFRAG_RANGE'),
    finding(
      'info',
      'defrag',
      'what snapshots and reflinks share is skipped: moving it would cost its size again',
    ),
  ];
  if ([...superOptions, ...options].includes('autodefrag')) {
    const what = 'autodefrag is on: Btrfs rewrites small writes by itself, and unshares snapshots';
    const fix = `mount -o remount,noautodefrag ${mount.entry.mountPath}`;
    findings.push(finding('warning', 'maintainers', what, fix));
  }
  return findings;
}
