/**
 * The order of test files: those that take longest first, so that no worker is left with one of them
 * while the other has nothing to do. vitest itself goes by what a cache of the last run says, which a
 * fresh clone has not, else by the size of the file, which says little.
 */

import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Parts of paths; whoever starts agents and commands takes longest. */
const LONGEST_FIRST = ['fs-pool/faults', 'test/agent/', 'test/cli/', 'test/http/', 'test/fs-pool/'];

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
