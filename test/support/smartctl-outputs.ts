/**
 * What smartctl prints, cut down to what is read of it. The values are those of real drives, as their
 * owners published them; serial numbers are left out.
 */

/** An NVMe drive that has written 12 TiB; smartctl 7.4 as root. */
export const NVME = {
  json_format_version: [1, 0],
  smartctl: { version: [7, 4], exit_status: 0 },
  device: { name: '/dev/nvme0n1', type: 'nvme', protocol: 'NVMe' },
  smart_status: { passed: true, nvme: { value: 0 } },
  nvme_smart_health_information_log: {
    critical_warning: 0,
    temperature: 41,
    available_spare: 100,
    percentage_used: 2,
    data_units_read: 19_446_553,
    data_units_written: 25_771_349,
    media_errors: 0,
    power_cycles: 412,
    power_on_hours: 3_150,
  },
  temperature: { current: 41 },
  power_on_time: { hours: 3_150 },
};

/** A SATA drive that tells its wear by an attribute. */
export const SATA = {
  json_format_version: [1, 0],
  smartctl: { version: [7, 3], exit_status: 0 },
  device: { name: '/dev/sda', type: 'sat', protocol: 'ATA' },
  model_name: 'Samsung SSD 870 QVO 1TB',
  logical_block_size: 512,
  smart_status: { passed: true },
  ata_smart_attributes: {
    revision: 1,
    table: [
      { id: 5, name: 'Reallocated_Sector_Ct', value: 100, thresh: 10, raw: { value: 0 } },
      { id: 177, name: 'Wear_Leveling_Count', value: 94, thresh: 0, raw: { value: 120 } },
      {
        id: 241,
        name: 'Total_LBAs_Written',
        value: 99,
        thresh: 0,
        raw: { value: 199_317_943_456 },
      },
    ],
  },
  power_on_time: { hours: 38_343 },
  temperature: { current: 38 },
};

/** Another maker: other attributes, and the wear from the device statistics. */
export const SATA_STATISTICS = {
  smartctl: { version: [7, 5], exit_status: 0 },
  device: { name: '/dev/sdb', type: 'sat', protocol: 'ATA' },
  logical_block_size: 512,
  endurance_used: { current_percent: 7 },
  ata_smart_attributes: {
    table: [
      { id: 202, name: 'Percent_Lifetime_Remain', value: 90, raw: { value: 10 } },
      { id: 246, name: 'Total_LBAs_Written', value: 100, raw: { value: 619_033_175 } },
    ],
  },
};

/** Somebody who may not open the device; smartctl 7.5. */
export const REFUSED = {
  smartctl: {
    version: [7, 5],
    messages: [
      {
        string: 'Smartctl open device: /dev/nvme0n1 failed: Permission denied',
        severity: 'error',
      },
    ],
    exit_status: 2,
  },
};
