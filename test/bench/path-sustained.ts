/** How many events a second go the full way for as long as it is asked, with a backlog that does not grow. */
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare } from './accept.ts'
import { countArrivals, type PathRig } from './path-rig.ts'
import { pollUntil } from './polling.ts'

export interface Sustained {
  events: number
  /** From the first request until every event was at every sink. */
  seconds: number
  eventsPerSecond: number
  /** Each second, events that were at every sink since the second before. */
  perSecond: number[]
  /** Each second, events that were sent and not at every sink. */
  backlogs: number[]
  /** From the last answer until every event was at every sink, in milliseconds. */
  settledMs: number
  /** Of the answers, in milliseconds. */
  p99: number
}

export interface Asked {
  connections: number
  seconds: number
  /** The generator waits while so many events are sent and not at every sink. */
  backlog: number
  /** Requests signed ahead; what more is needed is signed on the way. */
  window: number
}

/** How often the generator is told what has arrived. */
const feedbackMs = 50

/** What is not there by then is lost. */
const arrivalLimitMs = 120_000

export async function sustain(rig: PathRig, { connections, seconds, backlog, window }: Asked): Promise<Sustained> {
  const { generator, relay } = rig
  const arrived = await countArrivals(rig)
  const perSecond: number[] = []
  const over = new AbortController()

  async function feed(): Promise<void> {
    let secondBegan = performance.now()
    let before = 0
    while (!over.signal.aborted) {
      const count = await arrived()
      generator.delivered(count)
      if (count === 0) secondBegan = performance.now()
      if (performance.now() - secondBegan >= 1_000) {
        secondBegan += 1_000
        perSecond.push(count - before)
        before = count
      }
      await sleep(feedbackMs)
    }
  }

  const run = { connections, seconds, backlog, rolling: true }
  const [slice] = await Promise.all([
    generator.slice(prepare(relay, undefined, 'hmac', window), run).finally(() => over.abort()),
    feed(),
  ])
  const ended = performance.now()
  const { at } = await pollUntil({
    read: arrived,
    enough: (count) => count >= slice.answered,
    everyMs: 5,
    limitMs: arrivalLimitMs,
    what: `${slice.answered} events should be at every sink`,
  })
  const settledMs = at - ended
  const took = slice.seconds + settledMs / 1_000
  return {
    events: slice.answered,
    seconds: took,
    eventsPerSecond: slice.answered / took,
    perSecond,
    backlogs: slice.backlogs,
    settledMs,
    p99: slice.p99,
  }
}
