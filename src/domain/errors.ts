/**
 * Every failure that a user can meet, by code. The code is the identity of an error, not its
 * class: Piscina drops unknown properties of a rejection and BullMQ keeps only the message, so an
 * error crosses both as `WireError` and is recognised by its code on the other side.
 *
 * docs/errors.md lists the same table for users; a test holds the two together.
 */

interface ErrorKind {
  readonly exitCode: number;
  /** Whether the same request may succeed later without anybody changing it. */
  readonly retryable: boolean;
}

export const ERROR_KINDS = {
  ERR_USAGE: { exitCode: 2, retryable: false },
  ERR_TARGET_NOT_FOUND: { exitCode: 10, retryable: false },
  ERR_TARGET_BUSY: { exitCode: 11, retryable: true },
  ERR_UNSUPPORTED: { exitCode: 12, retryable: false },
  ERR_PERMISSION: { exitCode: 13, retryable: false },
  ERR_POLICY_REFUSED: { exitCode: 14, retryable: true },
  ERR_CHECKSUM_MISMATCH: { exitCode: 15, retryable: false },
  ERR_NO_SPACE: { exitCode: 16, retryable: true },
  ERR_MAP_CHANGED: { exitCode: 17, retryable: true },
  ERR_QUEUE: { exitCode: 18, retryable: true },
  ERR_STORE: { exitCode: 19, retryable: true },
  ERR_KERNEL: { exitCode: 20, retryable: false },
  ERR_NOT_A_POOL: { exitCode: 21, retryable: false },
  ERR_NEWER_VERSION: { exitCode: 22, retryable: false },
  ERR_DISK_IN_USE: { exitCode: 23, retryable: false },
  ERR_DISK_MISMATCH: { exitCode: 24, retryable: false },
  ERR_DISK_UNAVAILABLE: { exitCode: 25, retryable: true },
  ERR_AGENT: { exitCode: 26, retryable: true },
  ERR_DEVICE_HELD: { exitCode: 27, retryable: true },
  ERR_DEVICE_NOT_EMPTY: { exitCode: 28, retryable: false },
  ERR_ALL_TARGETS_FAILED: { exitCode: 32, retryable: false },
  ERR_SOME_TARGETS_FAILED: { exitCode: 64, retryable: false },
  ERR_INVARIANT: { exitCode: 70, retryable: false },
  ERR_INTERRUPTED: { exitCode: 130, retryable: true },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/** An error as it crosses a thread, a queue or `--json`: plain data. */
export interface WireError {
  readonly code: ErrorCode;
  /** What is wrong, naming the thing it is wrong with. */
  readonly message: string;
  /** What the user can do about it. */
  readonly nextStep: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface ErrorExtras {
  readonly nextStep?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** An expected failure: something outside the program is not as it must be. */
export class MaintenanceError extends Error {
  readonly code: ErrorCode;
  readonly nextStep: string | null;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.name = 'MaintenanceError';
    this.code = code;
    this.nextStep = extras.nextStep ?? null;
    this.details = extras.details ?? {};
  }

  get exitCode(): number {
    return ERROR_KINDS[this.code].exitCode;
  }

  get retryable(): boolean {
    return ERROR_KINDS[this.code].retryable;
  }

  toWire(): WireError {
    const { code, message, nextStep, details } = this;
    return { code, message, nextStep, details };
  }

  static fromWire(wire: WireError): MaintenanceError {
    const extras = { details: wire.details };
    return new MaintenanceError(
      wire.code,
      wire.message,
      wire.nextStep === null ? extras : { ...extras, nextStep: wire.nextStep },
    );
  }
}

/** Our own bug. Nothing that a user does may cause one. */
export class InvariantError extends MaintenanceError {
  constructor(message: string) {
    super('ERR_INVARIANT', message, {
      nextStep: 'This is a bug in dynamicfs: please report it with this message.',
    });
    this.name = 'InvariantError';
  }
}

/** Turns anything thrown into an error with a code; what is not ours is a bug until proven else. */
export function asMaintenanceError(cause: unknown): MaintenanceError {
  if (cause instanceof MaintenanceError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new MaintenanceError('ERR_INVARIANT', message, { cause });
}
