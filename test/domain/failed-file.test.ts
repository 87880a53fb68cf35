/** What is told of files that could not be moved: whose error it was, and what many have in common. */

import { describe, expect, it } from 'vitest';
import { MaintenanceError } from '../../src/domain/errors.js';
import { isNamed, ofFile, renamed, withoutPaths } from '../../src/domain/failed-file.js';

const FILE = '/srv/photos/a: b.jpg';
const DONOR = '/srv/.dynamicfs/ag0/group-3';

function failure(message: string, details: Record<string, unknown> = {}) {
  return ofFile(new MaintenanceError('ERR_KERNEL', message, { details }).toWire(), FILE);
}

describe('a failed file', () => {
  it.each([
    [
      'its own error',
      `cannot flush ${FILE}: I/O error (EIO)`,
      FILE,
      null,
      'cannot flush: I/O error (EIO)',
    ],
    [
      'an error of its donor',
      `cannot write ${DONOR}: I/O error (EIO)`,
      DONOR,
      `${FILE}: cannot write ${DONOR}: I/O error (EIO)`,
      'cannot write: I/O error (EIO)',
    ],
    [
      'an error without a path that names it',
      `the donor of ${FILE} does not read back`,
      null,
      null,
      'the donor of a file does not read back',
    ],
    [
      'an error that names nothing',
      'no .dynamicfs',
      null,
      `${FILE}: no .dynamicfs`,
      'no .dynamicfs',
    ],
  ])('is named with %s', (_, message, path, told, common) => {
    const error = failure(message, path === null ? {} : { path });
    expect(error).toMatchObject({ message: told ?? message, details: { filePath: FILE } });
    expect(withoutPaths(error)).toBe(common);
  });

  it('keeps code, next step and details', () => {
    const error = new MaintenanceError('ERR_CHECKSUM_MISMATCH', 'bad', {
      nextStep: 'Check the disk.',
      details: { errnoName: 'EIO' },
    });
    expect(ofFile(error.toWire(), FILE)).toEqual({
      code: 'ERR_CHECKSUM_MISMATCH',
      message: `${FILE}: bad`,
      nextStep: 'Check the disk.',
      details: { errnoName: 'EIO', filePath: FILE },
    });
  });

  it.each([
    ['its own error', (name: string) => `cannot flush ${name}: I/O error (EIO)`, true],
    ['an error of its donor', (name: string) => `${name}: cannot write ${DONOR}`, false],
  ])('gets the path that is found later, with %s', (_, message, isOwn) => {
    const handle = 'file 81ab of /srv';
    const details = { path: isOwn ? handle : DONOR };
    const wire = new MaintenanceError('ERR_KERNEL', message(handle), { details }).toWire();
    const unnamed = isOwn ? wire : { ...wire, details: { ...details, filePath: handle } };
    expect(isNamed(unnamed)).toBe(false);
    const named = renamed(unnamed, FILE);
    expect(isNamed(named)).toBe(true);
    expect(named).toMatchObject({ message: message(FILE), details: { filePath: FILE } });
  });

  it('is told as it is where no file was open', () => {
    const { message, ...rest } = new MaintenanceError('ERR_KERNEL', 'cannot open file 81 of /srv', {
      details: { path: 'file 81 of /srv' },
    }).toWire();
    expect(withoutPaths({ message, ...rest })).toBe('cannot open');
  });
});
