/** Who acts is the real user: the environment may add to that, and not replace it. */

import { userInfo } from 'node:os';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { processActor } from '../../src/kernel/actor.js';

const me = userInfo().username;

afterEach(() => vi.unstubAllEnvs());

describe('processActor', () => {
  it('is the name of the real user, whatever $USER says', () => {
    vi.stubEnv('USER', 'somebody-else');
    vi.stubEnv('SUDO_USER', undefined);
    expect(processActor()).toBe(me);
  });

  it('has who called sudo beside the name', () => {
    vi.stubEnv('SUDO_USER', 'alice');
    expect(processActor()).toBe(`${me} (sudo by alice)`);
  });

  it.each(['', me, 'two\nlines', '\u001b[31mred', 'a'.repeat(70), 'with space'])(
    'leaves out %j, which sudo would not write',
    (caller) => {
      vi.stubEnv('SUDO_USER', caller);
      expect(processActor()).toBe(me);
    },
  );
});
