/** The devices below a mount, one above the other, and where discards are lost on their way. Pure. */

export type LayerKind =
  | 'partition'
  | 'dm-crypt'
  | 'lvm'
  | 'lvm-thin'
  | 'multipath'
  | 'device-mapper'
  | 'md'
  | 'loop'
  | 'disk';

/** One block device as sysfs shows it; absent is null. Source: Documentation/ABI/stable/sysfs-block. */
export interface DeviceLayer {
  /** As sysfs names it: `dm-0`, `sda1`. */
  readonly name: string;
  readonly kind: LayerKind;
  /** What people call it: `vg-data`, `md/home`; else the name. */
  readonly label: string;
  readonly sizeBytes: number;
  /** The largest discard it takes now; 0 means that it takes none. */
  readonly discardMaxBytes: number;
  /** The largest that it could take; above 0 with a maximum of 0, somebody has turned it off. */
  readonly discardMaxHardwareBytes: number;
  readonly discardGranularityBytes: number;
  readonly isRotational: boolean;
  /** `raid5`, of an md device. */
  readonly mdLevel: string | null;
  /** The file behind a loop device. */
  readonly backingPath: string | null;
  /** Of a SCSI disk: `full` says that it takes no discards. */
  readonly provisioningMode: string | null;
  readonly isUsb: boolean;
  /** Made by a hypervisor, which alone knows what it lies on. */
  readonly isVirtual: boolean;
  readonly model: string | null;
  readonly below: readonly DeviceLayer[];
}

/**
 * Finds the layer that drops discards: itself takes none, though all below it do.
 *
 * @returns null when discards get through from the top. Of several, the one nearest to the disk, as
 * those above it can only pass on what it takes.
 */
export function firstDropping(top: DeviceLayer): DeviceLayer | null {
  if (top.discardMaxBytes > 0) return null;
  for (const layer of top.below) {
    const culprit = firstDropping(layer);
    if (culprit) return culprit;
  }
  return top;
}

/** @returns the layers from the mount down, each before what is below it. */
export function layersTopDown(top: DeviceLayer): DeviceLayer[] {
  return [top, ...top.below.flatMap(layersTopDown)];
}

/**
 * Whether a device lies on disks that rotate.
 *
 * @returns null for what a host or a file stands behind: the kernel calls loop devices and virtual
 *   disks rotating whatever they lie on.
 */
export function rotates(top: DeviceLayer): boolean | null {
  const disks = layersTopDown(top).filter(({ below }) => below.length === 0);
  if (
    disks.some(({ kind, isRotational, isVirtual }) => isRotational && !isVirtual && kind !== 'loop')
  )
    return true;
  return disks.some(({ kind, isVirtual }) => isVirtual || kind === 'loop') ? null : false;
}

/** `dm-crypt luks-1 (dm-0) → partition sda2 → disk sda`. */
export function describeLayers(top: DeviceLayer): string {
  const own = top.label === top.name ? top.name : `${top.label} (${top.name})`;
  const text = `${top.kind} ${own}`;
  if (top.below.length === 0) return text;
  const below = top.below.map(describeLayers);
  return `${text} → ${below.length === 1 ? below[0] : `[${below.join(', ')}]`}`;
}

/** Why a layer drops discards and the line that changes it, as far as can be told from here. */
export function dropReason(layer: DeviceLayer): { readonly what: string; readonly fix: string } {
  if (layer.discardMaxHardwareBytes > 0) {
    return {
      what: `${layer.name} could take discards, but its queue limit was set to 0`,
      fix: `echo ${layer.discardMaxHardwareBytes} > /sys/block/${layer.name}/queue/discard_max_bytes (where the kernel refuses, detach and attach the device), and remove the udev rule that sets it`,
    };
  }
  return REASONS[layer.kind](layer);
}

const REASONS: Readonly<
  Record<LayerKind, (layer: DeviceLayer) => { readonly what: string; readonly fix: string }>
> = {
  'dm-crypt': ({ label }) => ({
    what: `dm-crypt ${label} was opened without allow_discards`,
    fix: `cryptsetup refresh --allow-discards --persistent ${label} (LUKS2), or add "discard" to its options in /etc/crypttab; it shows which blocks are free`,
  }),
  lvm: ({ label }) => ({
    what: `the logical volume ${label} does not pass discards on`,
    fix: `lvs -a -o+seg_type,discards ${volumeName(label)} names its type: old mirrors and snapshots drop them, RAID 4 to 6 does without dm_raid.devices_handle_discard_safely=Y; issue_discards in lvm.conf has nothing to do with it`,
  }),
  'lvm-thin': ({ label, below }) => ({
    what: `the thin volume ${label} ignores discards`,
    fix: `lvchange --discards passdown ${volumeName(below[0]?.label.replace(/-tpool$/, '') ?? label)}, while no thin volume of that pool is active`,
  }),
  multipath: ({ label }) => ({
    what: `the multipath device ${label} does not pass discards on`,
    fix: `multipath -r ${label} once all of its paths take discards`,
  }),
  'device-mapper': ({ label }) => ({
    what: `the device-mapper target ${label} does not pass discards on`,
    fix: `dmsetup table ${label} names the target; see its documentation for discards`,
  }),
  md: ({ name, mdLevel }) => ({
    what: `${mdLevel ?? 'md'} ${name} does not pass discards on`,
    fix: isParityRaid(mdLevel)
      ? `only if every member reads zeros after a discard: echo "options raid456 devices_handle_discard_safely=Y" > /etc/modprobe.d/raid456.conf (raid456.devices_handle_discard_safely=Y on the kernel's command line where it is built in), then assemble the array again`
      : `mdadm --detail /dev/${name}: all of its members must take discards`,
  }),
  loop: ({ name, backingPath }) => ({
    what: `the file system that holds ${backingPath ?? 'the file'} of ${name} cannot punch holes`,
    fix: `put the file on ext4, XFS, Btrfs or tmpfs, and attach it again`,
  }),
  partition: ({ name }) => ({
    what: `the disk of ${name} takes no discards`,
    fix: `nothing helps but another disk`,
  }),
  disk: diskReason,
};

/** `vg-my--data` → `vg/my-data`: device-mapper joins the two with a hyphen and doubles their own. */
function volumeName(label: string): string {
  const [group = '', ...rest] = label.split(/(?<!-)-(?!-)/);
  return [group, rest.join('-')].map((name) => name.replaceAll('--', '-')).join('/');
}

function isParityRaid(level: string | null): boolean {
  return level !== null && ['raid4', 'raid5', 'raid6'].includes(level);
}

function diskReason({ name, isUsb, isVirtual, isRotational, provisioningMode }: DeviceLayer) {
  if (isVirtual) {
    return {
      what: `the virtual disk ${name} takes no discards`,
      fix: `let its host pass them on: discard='unmap' in the <driver> of libvirt's <disk>, or discard=unmap in QEMU's -drive, then start the machine anew`,
    };
  }
  if (provisioningMode === null || provisioningMode !== 'full') {
    return {
      what: `the disk ${name} takes no discards`,
      fix: isRotational
        ? 'nothing: a hard disk needs none'
        : `none known: hdparm -I /dev/${name} or nvme id-ctrl says whether it can; an HBA or RAID controller may hide it`,
    };
  }
  const bridge = isUsb ? 'the USB bridge of ' : '';
  return {
    what: `${bridge}the disk ${name} says that it is fully provisioned`,
    fix: `if sg_vpd -p lbpv /dev/${name} or its maker says that it unmaps: echo unmap > /sys/block/${name}/device/scsi_disk/*/provisioning_mode, by a udev rule to keep it`,
  };
}
