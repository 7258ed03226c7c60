/** One outage of a sink: how fast what has gathered is delivered after it, and how fast webhooks are taken meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare } from './accept.ts'
import { epochClock } from './clock.ts'
import type { Answer, Generator } from './generator.ts'
import type { Outage } from './outages.ts'
import { pollUntil } from './polling.ts'

export interface Drained {
  /** Gathered while the sink was away. */
  deliveries: number
  deliveriesPerSecond: number
  /** From the sink's return to the first delivery, in milliseconds. */
  noticedMs: number
  /** From the first delivery to the last. */
  seconds: number
  /** How fast the outage's webhooks were taken: one rule, its sink away. */
  filledPerSecond: number
  /** Latencies of accepting between the first delivery and the last, in milliseconds. */
  accepting: number[]
  /** Events accepted, those of the outage included. */
  accepted: number
}

/** Of the traffic that goes on beside. */
export interface Traffic {
  perSecond: number
  connections: number
}

const fillConnections = 64
/** An end for what should have ended long before. */
const limitSeconds = 600
const pollMs = 20
/** The traffic is signed and under way after this. */
const beginMs = 1_000

export async function drainOnce(outage: Outage, generator: Generator, deliveries: number, traffic: Traffic): Promise<Drained> {
  const { relay } = outage
  const arrived = () => outage.arrived()
  const before = await arrived()
  await outage.down()
  const filled = await generator.slice(prepare(relay, undefined, 'hmac', deliveries), {
    connections: fillConnections,
    seconds: limitSeconds,
  })
  if (filled.answered !== deliveries) throw new Error(`${filled.answered} of ${deliveries} events in ${limitSeconds} s`)
  const leaked = (await arrived()) - before
  if (leaked > 0) throw new Error(`${leaked} deliveries reached a sink that should be away`)

  const epoch = epochClock()
  const [load, drain] = await Promise.all([
    generator.slice(prepare(relay, undefined, 'hmac', traffic.perSecond * 10), {
      ...traffic,
      seconds: limitSeconds,
      rolling: true,
      record: true,
    }),
    watchDrain().finally(() => generator.end()),
  ])
  const accepted = deliveries + load.answered
  await waitFor((count) => count >= before + accepted, 'the rest of the events should be delivered')
  const { backAt, first, last } = drain
  const seconds = (last.at - first.at) / 1_000
  return {
    deliveries,
    deliveriesPerSecond: (last.count - first.count) / seconds,
    noticedMs: first.at - backAt,
    seconds,
    filledPerSecond: filled.perSecond,
    accepting: latenciesOf(load.answers, epoch(first.at), epoch(last.at)),
    accepted,
  }

  async function watchDrain() {
    await sleep(beginMs)
    await outage.up()
    return {
      backAt: performance.now(),
      first: await waitFor((count) => count > before, 'the first delivery should arrive'),
      last: await waitFor((count) => count >= before + deliveries, `${deliveries} deliveries should arrive`),
    }
  }

  function waitFor(enough: (count: number) => boolean, what: string) {
    return pollUntil({ read: arrived, enough, everyMs: pollMs, limitMs: limitSeconds * 1_000, what })
  }
}

/** Of answers between two moments, in milliseconds since the epoch. */
function latenciesOf(answers: readonly Answer[], from: number, to: number): number[] {
  return answers.filter(({ at }) => at >= from && at <= to).map(({ latencyMs }) => latencyMs)
}

/** How fast webhooks are taken when nothing else is to be done: latencies in milliseconds. */
export async function acceptIdle({ relay }: Outage, generator: Generator, seconds: number, traffic: Traffic): Promise<number[]> {
  const prepared = prepare(relay, undefined, 'hmac', traffic.perSecond * seconds)
  const { answers } = await generator.slice(prepared, { ...traffic, seconds, record: true })
  return answers.map(({ latencyMs }) => latencyMs)
}
