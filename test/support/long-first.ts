/**
 * The order of test files: those that take longest first, so that no worker is left with one of them
 * while the other has nothing to do. vitest itself goes by what a cache of the last run says, which a
 * fresh clone has not, else by the size of the file, which says little.
 */

import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Parts of paths, longest first: files that take a minute by themselves, then those that start agents,
 * commands and file systems. One of the first, begun last, is what all others have then to wait for.
 */
const LONGEST_FIRST = [
  'fs-pool/faults',
  'agent/crash',
  'pool/power-cut-devices',
  'agent/governor.test',
  'agent/reclamation.test',
  'cli/history',
  'cli/json',
  'pool/hanging-command',
  'test/agent/',
  'test/cli/',
  'fs-pool/trim-devices',
  'fs-pool/power-cut',
  'pool/crash',
  'pool/power-cut',
  'pool/recover-property',
  'test/http/',
  'test/fs-pool/',
  'test/deploy/',
  'test/pool/',
];

export default class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = LONGEST_FIRST.findIndex((part) => moduleId.includes(part));
      return index < 0 ? LONGEST_FIRST.length : index;
    };
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => rank(a) - rank(b));
  }
}
