/** The content of one object as a stream. */

import { MaintenanceError } from '../../domain/errors.js';
import type { PoolContext } from './context.js';
import { readVerified, recordReads } from './read.js';
import { objectNotFound } from './remove.js';

/** Extents of one stream that are read ahead. */
const STREAM_AHEAD = 4;

/** Yields the content of a file in order. @throws as `readVerified`. */
export async function* readObject(context: PoolContext, name: string): AsyncGenerator<Uint8Array> {
  const object = context.store.objects.byName(name);
  if (!object) throw objectNotFound(context, name);
  if (object.kind !== 'file') {
    throw new MaintenanceError('ERR_USAGE', `${name} is a ${object.kind}, not a file`, {
      nextStep: 'Get it into a directory instead.',
    });
  }
  const extents = context.store.extents.ofObject(object.objectId);
  const ahead: Promise<Uint8Array>[] = [];
  let next = 0;
  const readNext = () => {
    const extent = extents[next];
    next += 1;
    if (!extent) return;
    const reading = readVerified(context, [{ extent, destination: null }]).then(
      ([outcome]) => outcome?.data ?? new Uint8Array(),
    );
    // Handled where it is awaited; until then a failure must not count as unhandled.
    reading.catch(() => {});
    ahead.push(reading);
  };
  for (let i = 0; i < STREAM_AHEAD; i += 1) readNext();
  for (let first = ahead.shift(); first; first = ahead.shift()) {
    yield await first;
    readNext();
  }
  recordReads(context, extents, object.sizeBytes);
}
