/** What a browser, Prometheus or a probe asks of an agent. */

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface Ask {
  readonly method?: string;
  /** Given as the password of HTTP basic authentication. */
  readonly token?: string;
  readonly body?: unknown;
}

export async function ask(url: string, { method, token, body }: Ask = {}): Promise<Answer> {
  const authorization = token && `Basic ${Buffer.from(`operator:${token}`).toString('base64')}`;
  const response = await fetch(url, {
    method: method ?? 'GET',
    redirect: 'manual',
    headers: {
      ...(authorization ? { authorization } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** Samples of one metric by its labels, as they are written: `pool="…",disk="…"`. */
export function samples(text: string, name: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match?.[1] === name) found[match[2] ?? ''] = Number(match[3]);
  }
  return found;
}
