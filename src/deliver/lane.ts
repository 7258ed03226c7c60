/**
 * One lane: the deliveries of a sink that share a rate limit (one lane per Slack channel, else one per sink; those that are
 * enriched have their own). It holds a bounded queue of leased deliveries, fills it from Postgres, and attempts what is in it.
 */
import { messageOf, type FailureCode } from '../errors.ts'
import { whenAborted } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { keepsOrder, type SinkConfig } from '../config/schema.ts'
import { internalFailure, isRetryable, type Sink } from '../sinks/sink.ts'
import type { Claim } from '../store/claim.ts'
import type { Failure, LeasedDelivery, Outcome } from '../types.ts'
import { attempt, type Attempt } from './attempt.ts'
import { leaseMs, lost } from './leases.ts'
import type { Limits } from './limits.ts'
import type { Outcomes } from './outcomes.ts'
import { createPreparing, type PreparingOptions } from './preparing.ts'
import type { Pace } from './rate.ts'
import { delivered, failureEnd, givenBack, pauseMs } from './verdict.ts'

export interface LaneOptions {
  /** For logs: the sink's name, and the channel where a sink has several lanes. */
  name: string
  sinkName: string
  /** The rules whose deliveries this lane carries. */
  rules: readonly string[]
  config: SinkConfig
  sink: Sink
  /** Of the sink or channel; other lanes may go by them too. */
  limits: Limits
  /** Of a lane whose deliveries are enriched. */
  enrich?: Pick<PreparingOptions, 'jobs' | 'unavailable'>
  outcomes: Outcomes
  /** Leases up to `limit` of the lane's due deliveries to this process, oldest first. */
  claim(limit: number): Promise<Claim>
  /** Deliveries went in as pending because there was no room here: others may help. */
  overloaded(): void
  /** Something of the sink may be due now, here or in another lane: what waited for its turn, or what a lane that stopped gave back. */
  othersDue(): void
  /** Whether nothing is to be sent to the sink at all, until somebody resumes it. */
  paused(): boolean
  /** The sink wants no more. */
  gone(failure: Failure): void
  log: Log
  random?: () => number
}

export interface Lane {
  readonly name: string
  readonly sinkName: string
  readonly rules: readonly string[]
  /** Claims once, to begin with what an earlier process left. Before it nothing is attempted or claimed. */
  start(): void
  /** True when a delivery accepted now may start here without overtaking anything; holds a place for it. */
  reserve(): boolean
  cancel(): void
  /** Deliveries for which places were reserved. */
  push(deliveries: readonly LeasedDelivery[]): void
  /** Pending deliveries of this lane were stored by this process. */
  overflowed(): void
  /** Another process has more than it can do, or a replay was asked for: a backlog is waiting. */
  wake(): void
  /** Claims nothing more, gives waiting deliveries back, and lets attempts under way end until `deadline` aborts them. */
  stop(deadline: AbortSignal): Promise<void>
}

/** How often a lane looks for due retries and for what was left by others; the backstop of every notification. */
const pollMs = 1_000

/** A steady stream would keep a backlog of a few for ever: after so many such claims the order within the last is let go. */
const maxTrailing = 10

/** Codes that are no sign of how the sink does. */
const sayingNothing: ReadonlySet<FailureCode> = new Set<FailureCode>(['rate_limited', 'gone'])

/** More in one claim would make the statement long without making it cheaper. */
const maxClaim = 1_000

export function createLane(options: LaneOptions): Lane {
  const { name, config, sink, limits, outcomes, log, random = Math.random } = options
  const { breaker, pace } = limits
  const now = () => performance.now()
  const ordered = keepsOrder(config)
  const turn = limits.join(pump)
  const preparing = options.enrich && createPreparing({ ...options.enrich, ready: queueReady, putOff })
  const capacity = config.rate === undefined ? config.concurrency * config.batch : ratedCapacity(pace, config)

  let queue: LeasedDelivery[] = []
  let reserved = 0
  const underWay = new Map<Attempt, Promise<void>>()
  /** Older deliveries wait in Postgres: new ones must not overtake them. Ends when a claim finds fewer than it asked for. */
  let backlog = true
  /** Claims in a row that found fewer than they asked for, with something stored as pending while they ran. */
  let trailing = 0
  /** Something may be due in Postgres: claim as soon as there is room. */
  let due = true
  let claiming: Promise<void> | undefined
  let claimedAt = -Infinity
  let pausedUntil = -Infinity
  let started = false
  let stopping = false
  let timer: NodeJS.Timeout | undefined

  function pump(): void {
    if (stopping || !started) return
    if (options.paused()) {
      giveBack()
      return pumpIn(pollMs)
    }
    const blockedMs = Math.max(breaker.waitMs(), limits.pausedMs(), pausedUntil - now())
    if (blockedMs > 0) {
      giveBack()
      return pumpIn(blockedMs)
    }
    startAttempts()
    if (now() - claimedAt >= pollMs) due = true
    claimIfDue()
    pumpIn(queue.length > 0 && pace.waitMs() > 0 ? pace.waitMs() : pollMs)
  }

  function pumpIn(ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(pump, Math.ceil(Math.min(ms, pollMs)))
    timer.unref()
  }

  function claimIfDue(): void {
    const probing = breaker.state() === 'half_open'
    const room = probing ? 1 - held() - limits.running() : Math.min(maxClaim, places())
    // With a backlog, half a queue at a time: fewer and larger claims, the next one under way while attempts are.
    const worthwhile = backlog && !probing ? Math.min(maxClaim, Math.ceil(capacity / 2)) : 1
    if (due && claiming === undefined && room >= worthwhile) claiming = claim(room)
  }

  /** Deliveries that are not attempted yet. */
  function held(): number {
    return queue.length + (preparing?.size() ?? 0)
  }

  /** What is being prepared takes no place of the queue, so that what needs no waiting finds one. */
  function places(): number {
    if (preparing === undefined) return capacity - queue.length - reserved
    return queue.length >= capacity ? 0 : Math.max(capacity, leastPrepared) - preparing.size() - reserved
  }

  async function claim(limit: number): Promise<void> {
    due = false
    claimedAt = now()
    try {
      const { deliveries, more } = await options.claim(limit)
      takeIn(deliveries)
      // What went in as pending meanwhile is older than what comes next, so the backlog is not over yet.
      trailing = due && !more ? trailing + 1 : 0
      backlog = more || (trailing > 0 && trailing < maxTrailing)
      due ||= more
    } catch (error) {
      log.warn({ sink: name, error: messageOf(error) }, 'pending deliveries could not be claimed')
      pausedUntil = Math.max(pausedUntil, now() + pollMs)
      due = true
    }
    claiming = undefined
    if (stopping) giveBack()
    else pump()
  }

  function takeIn(deliveries: readonly LeasedDelivery[]): void {
    if (preparing === undefined) queue.push(...deliveries)
    else preparing.add(deliveries)
  }

  function queueReady(deliveries: readonly LeasedDelivery[]): void {
    queue.push(...deliveries)
    if (stopping) giveBack()
    else pump()
  }

  /** The sink was not asked, so that this says nothing of its health. */
  async function putOff(delivery: LeasedDelivery, failure: Failure, tries: number): Promise<void> {
    if (delivery.lease.until === lost) return outcomes.drop(delivery)
    log.debug({ sink: name, delivery: delivery.id, code: failure.code, error: failure.message }, 'put off')
    return outcomes.write(delivery, failureEnd(failure, tries, config.retry, random()))
  }

  function startAttempts(): void {
    const probing = breaker.state() === 'half_open'
    while (queue.length > 0 && turn.mayStart()) {
      const batch = takeBatch(probing ? 1 : config.batch)
      if (batch.length === 0) return
      turn.started()
      const trying = attempt(sink, batch, config.timeout, log)
      underWay.set(trying, finish(trying, batch))
    }
  }

  /** An attempt starts only if its lease outlasts it. A lost lease is dropped; one that waits for its renewal stays. */
  function takeBatch(limit: number): LeasedDelivery[] {
    const ends = now() + config.timeout
    const batch: LeasedDelivery[] = []
    const kept: LeasedDelivery[] = []
    for (const delivery of queue) {
      if (delivery.lease.until === lost) outcomes.drop(delivery)
      else if (batch.length < limit && delivery.lease.until > ends) batch.push(delivery)
      else kept.push(delivery)
    }
    queue = kept
    return batch
  }

  async function finish(trying: Attempt, batch: readonly LeasedDelivery[]): Promise<void> {
    const results = await trying.outcomes
    noteHealth(results)
    // The place stays taken until the outcome is written: while Postgres is away nothing new is attempted.
    await Promise.all(batch.map((delivery, index) => settle(delivery, results[index] ?? internalFailure('no outcome'))))
    underWay.delete(trying)
    turn.ended()
    if (ordered || stopping) options.othersDue()
    else pump()
  }

  function noteHealth(results: readonly Outcome[]): void {
    const limited = results.filter((result): result is Failure => result.status === 'failed' && result.code === 'rate_limited')
    if (limited.length > 0) {
      const waitMs = Math.max(...limited.map((failure) => pauseMs(failure, config.retry)))
      limits.pause(waitMs)
      log.info({ sink: name, wait_ms: waitMs }, 'rate limited: paused')
    }
    const gone = results.find((result): result is Failure => result.status === 'failed' && result.code === 'gone')
    if (gone !== undefined) options.gone(gone)
    // Being told to wait or to stop, or losing a lease, says nothing of the sink's health; any other answer, even a refusal, does.
    const telling = results.filter(
      (result) => result.status !== 'lost' && !(result.status === 'failed' && sayingNothing.has(result.code)),
    )
    const failures = telling.filter((result): result is Failure => result.status === 'failed' && isRetryable(result))
    const [failure] = failures
    if (failure !== undefined && failures.length === telling.length) {
      if (breaker.failed()) {
        log.warn(
          { sink: name, code: failure.code, error: failure.message, wait_ms: Math.round(breaker.waitMs()) },
          'breaker open: deliveries wait',
        )
      }
    } else if (telling.length > 0) {
      if (breaker.state() !== 'closed') log.info({ sink: name }, 'breaker closed: the sink answers again')
      breaker.succeeded()
    }
  }

  async function settle(delivery: LeasedDelivery, outcome: Outcome): Promise<void> {
    if (outcome.status === 'delivered') return outcomes.write(delivery, delivered)
    if (outcome.status === 'recorded') return outcomes.drop(delivery)
    const about = { sink: name, delivery: delivery.id, rule: delivery.rule, webhook_id: delivery.stored.event.webhook_id }
    if (outcome.status === 'lost') {
      log.warn(about, 'the lease was taken over before the outcome: nothing changed')
      return outcomes.drop(delivery)
    }
    const attempts = delivery.attempts + 1
    const end = failureEnd(outcome, attempts, config.retry, random())
    const evidence = { ...about, attempts, code: outcome.code, error: outcome.message }
    if (end.state === 'dead' || end.state === 'exhausted') log.warn(evidence, 'delivery is dead')
    else if (end.attempted) log.info({ ...evidence, next_in_ms: end.delayMs }, 'attempt failed')
    return outcomes.write(delivery, end)
  }

  function giveBack(): void {
    turn.leave()
    if (held() > 0) backlog = due = true
    const given = [...queue, ...(preparing?.clear() ?? [])]
    queue = []
    const written = given.map(async (delivery) => {
      if (delivery.lease.until === lost) outcomes.drop(delivery)
      else await outcomes.write(delivery, givenBack)
    })
    if (stopping && given.length > 0) void Promise.all(written).then(() => options.othersDue())
  }

  return {
    name,
    sinkName: options.sinkName,
    rules: options.rules,
    start() {
      started = true
      pump()
    },
    reserve() {
      // Whose turn it is only Postgres knows.
      if (ordered) return false
      if (stopping || options.paused() || backlog || breaker.state() !== 'closed' || limits.pausedMs() > 0 || now() < pausedUntil)
        return false
      if (places() <= 0) {
        backlog = true
        options.overloaded()
        return false
      }
      reserved++
      return true
    },
    cancel() {
      reserved--
    },
    push(deliveries) {
      reserved -= deliveries.length
      takeIn(deliveries)
      if (stopping) giveBack()
      else pump()
    },
    overflowed() {
      backlog = due = true
      pump()
    },
    wake() {
      backlog = due = true
      pump()
    },
    async stop(deadline) {
      stopping = true
      clearTimeout(timer)
      giveBack()
      turn.part()
      whenAborted(deadline, () => {
        for (const trying of underWay.keys()) trying.abort()
      })
      await claiming
      await Promise.all(underWay.values())
    },
  }
}

/** Being prepared at once, at least: more than are asked for at once, so that those that need no call come through. */
const leastPrepared = 32

/** What can start within a third of the lease, but no more than can be under way or claimed at once. */
function ratedCapacity(pace: Pace, { concurrency, batch }: SinkConfig): number {
  return Math.min(pace.within(leaseMs / 3) * batch, Math.max(concurrency * batch, maxClaim))
}
