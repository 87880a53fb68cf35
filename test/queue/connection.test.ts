/** Connections of commands: a Redis that is away must not keep a process. */

import { expect, it } from 'vitest';
import { runTypeScript } from '../support/child.js';

it('does not keep the process of a command that reached no Redis', async () => {
  const end = await runTypeScript(`
    import { connectCommand } from './src/queue/connection.ts';
    try {
      await connectCommand({ kind: 'embedded', socketPath: '/nonexistent/redis.sock' });
    } catch (error) {
      const refusedAtMs = performance.now();
      process.on('exit', () => console.log(error.code, Math.round(performance.now() - refusedAtMs)));
    }
  `);
  expect(end.stderr).toBe('');
  const [code, heldMs] = end.stdout.trim().split(' ');
  expect(code).toBe('ERR_QUEUE');
  // ioredis would wait two seconds for the end of a connection that there never was.
  expect(Number(heldMs)).toBeLessThan(1_500);
});
