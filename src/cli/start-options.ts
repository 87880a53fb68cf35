/** What `defrag start` may be asked for. */

import type { DefragIntent } from './run-control.js';

export interface StartOptions extends DefragIntent {
  readonly sloMs: number | null;
  readonly wait: boolean;
  readonly quiet: boolean;
  readonly note: (message: string) => void;
  readonly fileSystem: FsStartOptions;
}

/** What only mounted file systems know. */
export interface FsStartOptions {
  readonly path: string | null;
  readonly verify: boolean;
  readonly allowUnshare: boolean;
  readonly quietMs: number;
}
