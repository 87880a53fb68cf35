/** parseSmartctl: what drives of several makers say, and what is said when they say nothing. */

import { expect, it } from 'vitest';
import { parseSmartctl } from '../../src/domain/drive-health.js';
import { NVME, REFUSED, SATA, SATA_STATISTICS } from '../support/smartctl-outputs.js';

it('reads wear and lifetime of an NVMe drive', () => {
  expect(parseSmartctl(JSON.stringify(NVME))).toEqual({
    kind: 'read',
    facts: {
      model: null,
      protocol: 'NVMe',
      passed: true,
      wearRatio: 0.02,
      writtenBytes: 25_771_349 * 512_000,
      powerOnHours: 3_150,
      mediaErrors: 0,
      temperatureC: 41,
    },
  });
});

it('reads those of SATA drives, whichever attributes their makers chose', () => {
  expect(parseSmartctl(JSON.stringify(SATA))).toMatchObject({
    kind: 'read',
    facts: {
      model: 'Samsung SSD 870 QVO 1TB',
      wearRatio: 0.06,
      writtenBytes: 199_317_943_456 * 512,
      powerOnHours: 38_343,
      mediaErrors: null,
    },
  });
  expect(parseSmartctl(JSON.stringify(SATA_STATISTICS))).toMatchObject({
    facts: { wearRatio: 0.07, writtenBytes: 619_033_175 * 512, passed: null, temperatureC: null },
  });
});

it.each([
  [JSON.stringify(REFUSED), 'Smartctl open device: /dev/nvme0n1 failed: Permission denied'],
  ['{"smartctl": {"exit_status": 4}}', 'the drive has no SMART data'],
  ['{"ata_smart_attributes": {"table": "broken"}}', 'the drive has no SMART data'],
  ['[]', 'smartctl printed no JSON'],
  ['', 'smartctl printed no JSON'],
])('says why nothing is known: %s', (text, reason) => {
  expect(parseSmartctl(text)).toEqual({ kind: 'unknown', reason });
});
