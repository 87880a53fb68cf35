/** Where the objects of a `get` go: one place, which nothing that is stored may leave. */

import { lstatSync, mkdirSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { MaintenanceError } from '../../domain/errors.js';

export class Destination {
  readonly #root: string;
  /** Whether files that exist are replaced. */
  readonly force: boolean;

  constructor(path: string, force: boolean) {
    this.#root = resolve(path);
    this.force = force;
  }

  /** @throws MaintenanceError ERR_USAGE for a name that would leave the destination. */
  pathOf(objectName: string, asked: string): string {
    const root = this.#root;
    const below = asked === '' ? objectName : objectName.slice(asked.length).replace(/^\//, '');
    const path = below === '' ? root : resolve(root, below);
    if (path !== root && !path.startsWith(root === sep ? sep : root + sep)) {
      throw new MaintenanceError('ERR_USAGE', `object name "${objectName}" leads out of ${root}`, {
        nextStep: 'Get this object alone, under a name of your own.',
      });
    }
    return path;
  }

  /** Makes the directory of a file. @throws MaintenanceError ERR_TARGET_BUSY when there is one already. */
  makeRoom(path: string): void {
    this.refuseLinks(dirname(path));
    mkdirSync(dirname(path), { recursive: true });
    // Not existsSync: a link that leads nowhere is somebody's, too.
    if (this.force || !lstatSync(path, { throwIfNoEntry: false })) return;
    throw new MaintenanceError('ERR_TARGET_BUSY', `${path} exists already`, {
      nextStep: 'Add --force to replace it.',
    });
  }

  /** The destination itself may be a link; below it, a link would lead out of it. */
  refuseLinks(path: string): void {
    for (let at = path; at.length > this.#root.length; at = dirname(at)) {
      if (!lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink()) continue;
      throw new MaintenanceError('ERR_TARGET_BUSY', `${at} is a symbolic link`, {
        nextStep: 'Remove the link, or choose another destination.',
      });
    }
  }
}
