/**
 * What an expression, a text or a pattern may take with one event. The thread that runs it is the one that accepts events,
 * so that one which goes on for ever would stop the relay. Steps are counted, not timed: what ends with one machine ends
 * with all of them, however busy they are, and nothing is ended because it was made to wait.
 */

/**
 * A step is 10 to 12 ns: a character that is looked at. All of them are 15 to 20 ms, and two or three times as much the first
 * time, before any of it is compiled.
 */
export const maxSteps = 1_500_000

export const maxStepsShown = maxSteps.toLocaleString('en-US')

/** Thrown where the steps come to their end. */
export class StepsError extends Error {
  constructor(subject: string) {
    super(`with this event ${subject} takes more than the ${maxStepsShown} steps that it has`)
    this.name = 'StepsError'
  }
}

/** Counts what one pattern takes, event by event. */
export class Steps {
  #left: number
  readonly #most: number
  readonly #subject: string

  constructor(subject: string, most: number) {
    this.#subject = subject
    this.#most = most
    this.#left = most
  }

  restart(): void {
    this.#left = this.#most
  }

  /** @throws StepsError when there are not so many left */
  use(steps: number): void {
    this.#left -= steps
    if (this.#left < 0) throw new StepsError(this.#subject)
  }
}
