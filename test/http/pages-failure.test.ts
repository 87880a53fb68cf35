/** What is shown when the pages cannot be loaded, as after an upgrade under a running agent. */

import type { ServerResponse } from 'node:http';
import { expect, it, vi } from 'vitest';
import { createHttpServer, type Pages } from '../../src/http/server.js';
import { ask } from '../support/pages.js';

const createPages = vi.hoisted(() => vi.fn<() => Promise<Pages>>());
vi.mock('../../src/http/pages.js', () => ({ createPages }));

it('says what is wrong and what to do next, and tries again with the next request', async () => {
  createPages.mockRejectedValueOnce(new Error("Cannot find module '/opt/pages.js'"));
  createPages.mockResolvedValueOnce((_request: unknown, response: ServerResponse) => {
    response.end('here they are');
  });
  const server = await createHttpServer({
    ...{ address: '127.0.0.1:0', anyPort: false, token: null },
    ...{ pools: () => [], registered: () => [], redis: null as never },
  });
  try {
    const failed = await ask(`${server.url}/metrics`);
    expect(failed.status).toBe(500);
    expect(failed.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(failed.text).toContain("cannot be loaded: Cannot find module '/opt/pages.js'");
    expect(failed.text).toMatch(/^Next: restart the agent, with `systemctl restart/m);
    expect((await ask(`${server.url}/metrics`)).text).toBe('here they are');
  } finally {
    await server.close();
  }
});
