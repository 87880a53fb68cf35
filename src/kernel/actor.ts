/** Who this process acts for, as the ledger and the history of policies name it. */

import { userInfo } from 'node:os';

/** What sudo writes for real; anything else was made up, or would garble a table. */
const USER_NAME = /^[\w.][\w.-]{0,63}\$?$/;

/**
 * The name of the real user, with the one who called sudo beside it: `root (sudo by alice)`.
 *
 * $USER says nothing: whoever calls may set it. $SUDO_USER may be set by hand, too, so it stands
 * beside the name, never in its place.
 *
 * @returns `uid 1234` for a user without a name.
 */
export function processActor(): string {
  const { SUDO_USER: caller } = process.env;
  const name = realUserName();
  return caller && caller !== name && USER_NAME.test(caller) ? `${name} (sudo by ${caller})` : name;
}

/** `userInfo` tells of the effective user, which differs where a program is set-uid. */
function realUserName(): string {
  const uid = process.getuid?.() ?? -1;
  try {
    const user = userInfo();
    return user.uid === uid ? user.username : `uid ${uid}`;
  } catch {
    return `uid ${uid}`;
  }
}
