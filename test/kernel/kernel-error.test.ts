import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { type ErrorCode, InvariantError, MaintenanceError } from '../../src/domain/errors.js';
import { fromNodeError, KernelCallError } from '../../src/kernel/kernel-error.js';

const { errno } = constants;

describe('KernelCallError', () => {
  it.each<[keyof typeof errno, ErrorCode]>([
    ['ENOENT', 'ERR_TARGET_NOT_FOUND'],
    ['ENODEV', 'ERR_TARGET_NOT_FOUND'],
    ['EBUSY', 'ERR_TARGET_BUSY'],
    ['EAGAIN', 'ERR_TARGET_BUSY'],
    ['EOPNOTSUPP', 'ERR_UNSUPPORTED'],
    ['ENOTTY', 'ERR_UNSUPPORTED'],
    ['EACCES', 'ERR_PERMISSION'],
    ['EROFS', 'ERR_PERMISSION'],
    ['ENOSPC', 'ERR_NO_SPACE'],
    ['EDQUOT', 'ERR_NO_SPACE'],
    ['EIO', 'ERR_KERNEL'],
  ])('%s is %s, with a next step', (name, code) => {
    const error = new KernelCallError('punch a hole in', errno[name], '/x/dynamicfs.data');
    expect(error.code).toBe(code);
    expect(error.nextStep).not.toBeNull();
    expect(error.message).toContain(`(${name})`);
  });

  it('says what failed, where and why in one line', () => {
    const error = new KernelCallError('punch a hole in', errno.ENOSPC, '/x/dynamicfs.data');
    expect(error.message).toBe(
      'cannot punch a hole in /x/dynamicfs.data: No space left on device (ENOSPC)',
    );
    expect(error).toBeInstanceOf(MaintenanceError);
  });

  it('has a message for a number that nobody knows', () => {
    const error = new KernelCallError('sync', 4000, '/x');
    expect(error.message).toBe('cannot sync /x: The kernel refused (errno 4000)');
    expect(error.code).toBe('ERR_KERNEL');
  });
});

describe('fromNodeError', () => {
  it('gives an error of node:fs its code and keeps it as the cause', () => {
    const cause = thrownBy(() => readFileSync('/nowhere/at/all'));
    const error = fromNodeError('read', cause, '/nowhere/at/all');
    expect(error).toMatchObject({ code: 'ERR_TARGET_NOT_FOUND', details: { errno: 2 }, cause });
  });

  it('returns an error that has a code as it is', () => {
    const error = new MaintenanceError('ERR_STORE', 'locked');
    expect(fromNodeError('read', error, '/x')).toBe(error);
    const invariant = new InvariantError('impossible');
    expect(fromNodeError('read', invariant, '/x')).toBe(invariant);
  });

  it('calls what has no errno a bug', () => {
    expect(fromNodeError('read', new TypeError('no'), '/x').code).toBe('ERR_INVARIANT');
  });
});

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (cause) {
    return cause;
  }
  throw new Error('it did not throw');
}
