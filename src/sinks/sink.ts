/** The one interface between the deliver loop and every kind of sink. */
import type { Target } from '../config/targets.ts'
import { failureRetryable, messageOf, type FailureCode } from '../errors.ts'
import type { Failure, LeasedDelivery, Outcome } from '../types.ts'

export interface Sink {
  /**
   * Checks what can only be checked against the real thing (a table's columns, say) and opens what can be opened
   * without waiting for a system that may be down.
   *
   * @throws RelayError `sink_misconfigured` when no delivery could ever succeed
   */
  start(): Promise<void>
  /**
   * Attempts every delivery of the batch once and answers one outcome for each, in order. Never throws for a
   * delivery's sake. When `signal` aborts (timeout, shutdown deadline) it gives up and reports `timeout`.
   */
  deliver(batch: readonly LeasedDelivery[], signal: AbortSignal): Promise<Outcome[]>
  /**
   * Other rules feed it, or say something else of it, while its own settings stay.
   *
   * @returns what puts it to use, at once and for good, from the next batch on
   */
  retarget(targets: readonly Target[]): () => void
  /** Waits for nothing: the worker has stopped calling `deliver` and in-flight calls have ended or been aborted. */
  close(): Promise<void>
}

/** What of a delivery says how it looks. */
export type Rendering = Pick<LeasedDelivery, 'id' | 'rule' | 'sink' | 'replay' | 'stored' | 'resource'>

export function failed(code: FailureCode, message: string, retryAfterMs?: number): Failure {
  const failure: Failure = { status: 'failed', code, message: message.slice(0, maxMessageLength) }
  return retryAfterMs === undefined ? failure : { ...failure, retryAfterMs }
}

/** Long enough for an SQL error with its detail, short enough for a row in a terminal table's detail view. */
const maxMessageLength = 2_000

export function isRetryable(failure: Failure): boolean {
  return failureRetryable[failure.code]
}

/** An outcome for something thrown that nobody classified: a bug, so it is retried and logged rather than lost. */
export function internalFailure(error: unknown): Failure {
  return failed('internal', `unexpected: ${messageOf(error)}`)
}
