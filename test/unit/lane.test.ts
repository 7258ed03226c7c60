import { beforeEach, afterEach, expect, it } from 'vitest'
import { createLane, type Lane } from '../../src/deliver/lane.ts'
import { givenBack } from '../../src/deliver/verdict.ts'
import { createLimits } from '../../src/deliver/limits.ts'
import type { Failure, LeasedDelivery, Outcome } from '../../src/types.ts'
import { failed } from '../../src/sinks/sink.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'
import { silent } from '../setup/accepted.ts'
import { eventually } from '../setup/sender.ts'
import { sinkConfig } from '../sinks/config.ts'

interface Claim {
  limit: number
  find: (...deliveries: LeasedDelivery[]) => void
}

/** Claims that are under way, with what they asked for; the test says what they find and when. */
let claims: Claim[]
let everyClaim: Claim[]
/** What the sink was given, in order. */
let attempted: string[]
let answer: () => Outcome
let lane: Lane
let paused: boolean
/** Deliveries that went back to where they stood. */
let given: string[]
let toldGone: number

beforeEach(async () => {
  claims = []
  everyClaim = []
  attempted = []
  paused = false
  given = []
  toldGone = 0
  answer = () => ({ status: 'delivered' })
  const config = sinkConfig('http', { url: 'http://127.0.0.1/', concurrency: 2 })
  lane = createLane({
    name: 'forward',
    sinkName: 'forward',
    rules: ['all'],
    config,
    limits: createLimits(config, () => performance.now()),
    sink: {
      async start() {},
      async deliver(batch) {
        attempted.push(...batch.map(({ id }) => id))
        return batch.map(answer)
      },
      retarget: () => () => {},
      async close() {},
    },
    outcomes: {
      async write({ id }, end) {
        if (end === givenBack) given.push(id)
      },
      drop() {},
      stop() {},
      async idle() {},
    },
    claim: (limit) =>
      new Promise((resolve) => {
        const claim: Claim = { limit, find: (...deliveries) => resolve({ deliveries, more: deliveries.length === limit }) }
        claims.push(claim)
        everyClaim.push(claim)
      }),
    overloaded() {},
    othersDue() {},
    paused: () => paused,
    gone: () => void toldGone++,
    log: silent,
  })
  lane.start()
})
afterEach(async () => {
  for (const claim of everyClaim) claim.find()
  await lane.stop(AbortSignal.abort())
})

/** The next claim that the lane makes. */
async function nextClaim(): Promise<Claim> {
  await eventually(
    () => claims.length,
    (open) => open > 0,
  )
  const claim = claims.shift()
  if (claim === undefined) throw new Error('no claim')
  return claim
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

async function nothingLeft(): Promise<void> {
  ;(await nextClaim()).find()
  await settled()
}

it('takes nothing new before it has seen what an earlier process left', async () => {
  expect(lane.reserve()).toBe(false)
  await nothingLeft()
  expect(lane.reserve()).toBe(true)
})

it('attempts what was found, and takes nothing new while a claim finds as much as it asked for', async () => {
  const claim = await nextClaim()
  claim.find(...Array.from({ length: claim.limit }, (_, n) => leasedDelivery({ id: `old_${n}` })))
  await settled()
  expect(lane.reserve()).toBe(false)
  await nothingLeft()
  expect(attempted).toEqual(['old_0', 'old_1'])
  expect(lane.reserve()).toBe(true)
})

it('takes nothing new while something is stored as pending that no claim has seen', async () => {
  await nothingLeft()
  lane.overflowed()
  expect(lane.reserve()).toBe(false)
  const claim = await nextClaim()
  // Stored after the claim looked.
  lane.overflowed()
  claim.find(leasedDelivery({ id: 'seen' }))
  await settled()
  expect(lane.reserve()).toBe(false)
  ;(await nextClaim()).find(leasedDelivery({ id: 'unseen' }))
  await settled()
  expect(attempted).toEqual(['seen', 'unseen'])
  expect(lane.reserve()).toBe(true)
})

it('takes new ones again in the end, though every claim is overtaken by another pending one', async () => {
  await nothingLeft()
  lane.overflowed()
  let rounds = 0
  while (!lane.reserve()) {
    rounds++
    const claim = await nextClaim()
    lane.overflowed()
    claim.find(leasedDelivery())
    await settled()
  }
  expect(rounds).toBeGreaterThan(3)
  expect(rounds).toBeLessThan(20)
})

it('claims, takes and attempts nothing while its sink is paused, gives back what it holds, and goes on when it is woken', async () => {
  const claim = await nextClaim()
  paused = true
  claim.find(leasedDelivery({ id: 'held' }))
  await settled()
  expect(lane.reserve()).toBe(false)
  lane.overflowed()
  lane.wake()
  await settled()
  expect([attempted, given, claims]).toEqual([[], ['held'], []])

  paused = false
  lane.wake()
  ;(await nextClaim()).find(leasedDelivery({ id: 'held' }))
  await settled()
  expect(attempted).toEqual(['held'])
})

it('tells who knows of pauses that its sink wants no more, and takes that for no sign of how it does', async () => {
  await nothingLeft()
  for (let n = 0; n < 20; n++) {
    answer = () => failed('gone', 'no more')
    expect(lane.reserve()).toBe(true)
    lane.push([leasedDelivery()])
    await settled()
  }
  expect(toldGone).toBe(20)
  expect(lane.reserve()).toBe(true)
})

it('takes nothing new before what waited for the end of a pause', async () => {
  await nothingLeft()
  const limited: Failure = failed('rate_limited', 'later', 100)
  answer = () => limited
  expect(lane.reserve()).toBe(true)
  lane.push([leasedDelivery({ id: 'limited' })])
  await settled()
  answer = () => ({ status: 'delivered' })
  expect(lane.reserve()).toBe(false)
  lane.overflowed()
  const claim = await nextClaim()
  expect(lane.reserve()).toBe(false)
  claim.find(leasedDelivery({ id: 'waited' }))
  await settled()
  expect(attempted).toEqual(['limited', 'waited'])
})

it('holds no more places than it has, and gives those back that were not needed', async () => {
  await nothingLeft()
  expect([lane.reserve(), lane.reserve(), lane.reserve()]).toEqual([true, true, false])
  lane.cancel()
  lane.cancel()
  // There was no room: something is pending now.
  expect(lane.reserve()).toBe(false)
  lane.overflowed()
  await nothingLeft()
  expect(lane.reserve()).toBe(true)
})
