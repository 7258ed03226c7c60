/**
 * What every sink promises, as one suite. A sink's own test file describes how to reach and how to hurt the thing behind it
 * ({@link SinkUnderTest}) and calls {@link sinkConformance}; what is particular to the sink is tested beside that.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isRetryable, type Sink } from '../../src/sinks/sink.ts'
import type { LeasedDelivery, Outcome } from '../../src/types.ts'

/** A sink with the real thing (or a stand-in that speaks its protocol) behind it. Made anew for each test. */
export interface SinkUnderTest {
  /**
   * Not started. Its config's `timeout` should be long (20 s): the suite aborts attempts itself, and an attempt that
   * ends by its own timeout would hide a sink that does not listen.
   */
  sink: Sink
  /** An ordinary delivery of event number `n`; the same number gives the same delivery. */
  delivery(n: number): LeasedDelivery
  /**
   * Everything that has arrived by now, read from the other side. `identity` is what a consumer would dedupe by (the
   * webhook-id, a row's key): the same for a redelivery, another one for another event.
   */
  received(): Promise<{ identity: string }[]>
  /** From now on attempts fail in a way that can pass (5xx, a lock, a broker that is away). */
  failRetryably(): Promise<void> | void
  /** From now on attempts fail in a way that will not pass by itself. Left out where {@link Conformance.neverRefuses} says why. */
  failPermanently?(): Promise<void> | void
  /** From now on attempts get no answer at all. */
  stall(): Promise<void> | void
  /** From now on attempts are told to come back after so many milliseconds. Left out where {@link Conformance.neverLimits} says why. */
  limit?(ms: number): Promise<void> | void
  /** Ends whatever the four above began. */
  recover(): Promise<void> | void
  /** Takes the other side down, after the sink was closed. */
  dispose(): Promise<void> | void
}

export interface Conformance {
  make: () => Promise<SinkUnderTest>
  /** Why this kind of sink is never told to slow down; shown in the suite's name. */
  neverLimits?: string
  /** Why this kind of sink has no permanent failure; shown in the suite's name. */
  neverRefuses?: string
}

/** The outcomes that mean it is done. */
const done = expect.stringMatching(/^(delivered|recorded)$/)

/** Bound on what must not hang, above anything a healthy machine needs and below the timeout of the sink under test. */
const boundMs = 15_000

export function sinkConformance(name: string, { make, neverLimits, neverRefuses }: Conformance): void {
  const limits = neverLimits === undefined ? '' : ` (never rate limited: ${neverLimits})`
  const refusals = neverRefuses === undefined ? '' : ` (no permanent failure: ${neverRefuses})`
  describe(`the ${name} sink does what every sink does${limits}${refusals}`, { timeout: boundMs }, () => {
    let under: SinkUnderTest
    let open = false

    beforeEach(async () => {
      under = await make()
      await under.sink.start()
      open = true
    })

    afterEach(async () => {
      await under.recover()
      await close()
      await under.dispose()
    })

    /** Closes the sink once; a worker does not do it twice either. */
    async function close(): Promise<void> {
      if (!open) return
      open = false
      await under.sink.close()
    }

    test('a delivery arrives, once', async () => {
      expect(await under.sink.deliver([under.delivery(1)], never)).toEqual([{ status: done }])
      expect(await under.received()).toHaveLength(1)
    })

    test('a batch gets one outcome for each delivery, and all of it arrives', async () => {
      const batch = [under.delivery(1), under.delivery(2), under.delivery(3)]
      expect(await under.sink.deliver(batch, never)).toEqual([{ status: done }, { status: done }, { status: done }])
      expect(identities(await under.received()).size).toBe(3)
    })

    test('an empty batch is no work', async () => {
      expect(await under.sink.deliver([], never)).toEqual([])
    })

    test('a failure that can pass is reported as one, for each delivery, and passes', async () => {
      await under.failRetryably()
      const outcomes = await under.sink.deliver([under.delivery(1), under.delivery(2)], never)
      expect(outcomes.map(verdict)).toEqual(['retryable', 'retryable'])
      await under.recover()
      expect(await under.sink.deliver([under.delivery(1)], never)).toEqual([{ status: done }])
    })

    test('an attempt without an answer ends when it is aborted, as a timeout, and the sink goes on', async () => {
      await under.stall()
      const outcomes = await abortedAfter(200, (signal) => under.sink.deliver([under.delivery(1), under.delivery(2)], signal))
      expect(outcomes).toMatchObject([timeout, timeout])
      await under.recover()
      expect(await under.sink.deliver([under.delivery(3)], never)).toEqual([{ status: done }])
    })

    test('a batch whose time is up before it begins is a timeout, not an error', async () => {
      const outcomes = await under.sink.deliver([under.delivery(1), under.delivery(2)], AbortSignal.abort())
      expect(outcomes).toMatchObject([timeout, timeout])
    })

    test('closing while an attempt is under way throws nothing, and the attempt can be repeated', async () => {
      await under.stall()
      const controller = new AbortController()
      const attempt = under.sink.deliver([under.delivery(1)], controller.signal)
      await sleep(100)
      controller.abort()
      const [outcomes] = await Promise.all([attempt, close()])
      expect(outcomes.map(verdict)).toEqual(['retryable'])
    })

    test('a delivery made twice is recognisable as one by the receiver, and another event is another', async () => {
      await under.sink.deliver([under.delivery(1)], never)
      await under.sink.deliver([under.delivery(1)], never)
      expect(identities(await under.received()).size).toBe(1)
      await under.sink.deliver([under.delivery(2)], never)
      expect(identities(await under.received()).size).toBe(2)
    })

    if (neverRefuses === undefined) failsForGood(() => under)
    if (neverLimits === undefined) obeysLimits(() => under)
  })
}

function failsForGood(made: () => SinkUnderTest): void {
  test('a failure that will not pass is reported as one, with a message', async () => {
    const under = made()
    if (under.failPermanently === undefined)
      throw new Error('say how this sink fails for good, or why it never does (neverRefuses)')
    await under.failPermanently()
    const outcomes = await under.sink.deliver([under.delivery(1)], never)
    expect(outcomes.map(verdict)).toEqual(['permanent'])
    expect(outcomes).toEqual([expect.objectContaining({ message: expect.stringMatching(/\w{3}/) })])
    expect(await under.received()).toEqual([])
  })
}

function obeysLimits(made: () => SinkUnderTest): void {
  test('a rate limit is reported with the wait that was asked for', async () => {
    const under = made()
    if (under.limit === undefined) throw new Error('say how to limit this sink, or why it never is (neverLimits)')
    await under.limit(3_000)
    const outcomes = await under.sink.deliver([under.delivery(1), under.delivery(2)], never)
    const limited = { status: 'failed', code: 'rate_limited', retryAfterMs: 3_000 }
    expect(outcomes).toMatchObject([limited, limited])
    await under.recover()
    expect(await under.sink.deliver([under.delivery(1)], never)).toEqual([{ status: done }])
  })
}

/** A signal that does not abort. */
const never = new AbortController().signal

const timeout = { status: 'failed', code: 'timeout' }

function identities(received: readonly { identity: string }[]): Set<string> {
  return new Set(received.map(({ identity }) => identity))
}

function verdict(outcome: Outcome): string {
  if (outcome.status !== 'failed') return outcome.status
  return isRetryable(outcome) ? 'retryable' : 'permanent'
}

async function abortedAfter<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), ms)
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
