/** Runs a bounded number of asynchronous steps side by side and remembers the first failure. */
export class Lanes {
  readonly #laneCount: number;
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly cause: unknown } | null = null;

  constructor(laneCount: number) {
    this.#laneCount = laneCount;
  }

  /** Waits for a lane, then starts `step` in it. @throws what an earlier step threw. */
  async start(step: () => Promise<void>): Promise<void> {
    while (this.#underWay.size >= this.#laneCount) await Promise.race(this.#underWay);
    this.#throwFailure();
    const running = step()
      .catch((cause) => {
        this.#failure ??= { cause };
      })
      .finally(() => this.#underWay.delete(running));
    this.#underWay.add(running);
  }

  /** Waits for all steps. @throws what one of them threw. */
  async drain(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.cause;
  }
}
