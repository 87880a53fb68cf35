/** Ctrl-C and SIGTERM as an AbortSignal: what is under way is finished or undone, then the command ends. */

export interface Interrupt {
  readonly signal: AbortSignal;
  dispose(): void;
}

export function abortOnInterrupt(): Interrupt {
  const controller = new AbortController();
  const abort = () => controller.abort();
  process.once('SIGINT', abort);
  process.once('SIGTERM', abort);
  return {
    signal: controller.signal,
    dispose: () => {
      process.off('SIGINT', abort);
      process.off('SIGTERM', abort);
    },
  };
}
