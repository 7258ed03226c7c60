/** A batch for a sink whose protocol carries one delivery a call. */
import type { Failure, LeasedDelivery, Outcome } from '../types.ts'
import { failed, internalFailure } from './sink.ts'

/**
 * Attempts a batch in order, one outcome each. Once a lane (a Slack channel, say) is rate limited, or wants no more at all, the
 * rest of it in this batch is not tried: more calls would only lengthen the penalty.
 */
export async function oneByOne(
  batch: readonly LeasedDelivery[],
  signal: AbortSignal,
  steps: { laneOf: (delivery: LeasedDelivery) => string; attempt: (delivery: LeasedDelivery) => Promise<Outcome> },
): Promise<Outcome[]> {
  const refusing = new Map<string, Failure>()
  const outcomes: Outcome[] = []
  for (const delivery of batch) {
    const lane = steps.laneOf(delivery)
    const outcome = refusing.get(lane) ?? (signal.aborted ? notReached() : await steps.attempt(delivery).catch(internalFailure))
    if (outcome.status === 'failed' && (outcome.code === 'rate_limited' || outcome.code === 'gone')) refusing.set(lane, outcome)
    outcomes.push(outcome)
  }
  return outcomes
}

function notReached(): Failure {
  return failed('timeout', 'the time of the attempt was up before this delivery had its turn')
}
