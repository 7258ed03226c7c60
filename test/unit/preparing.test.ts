import { beforeEach, expect, it } from 'vitest'
import { createPreparing, type Preparing } from '../../src/deliver/preparing.ts'
import type { Fetched } from '../../src/gemini/jobs.ts'
import { readJob } from '../../src/gemini/job-resource.ts'
import type { LeasedDelivery } from '../../src/types.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'
import { eventually } from '../setup/sender.ts'

/** Calls that are under way; the test says what they find. */
let calls: ((fetched: Fetched) => void)[]
let ready: LeasedDelivery[]
let putOff: { id: string; tries: number }[]
let written: () => void
let preparing: Preparing

const job = readJob('batch', { name: 'batches/1' })
const waits = (id = '1') => leasedDelivery({ id, rule: 'waits' })
const settled = () => new Promise((resolve) => setImmediate(resolve))

beforeEach(() => {
  calls = []
  ready = []
  putOff = []
  preparing = createPreparing({
    jobs: {
      known: ({ type }) => (type === 'ping' ? null : undefined),
      fetch: () => new Promise((resolve) => calls.push(resolve)),
      timeoutMs: 50,
      stop() {},
    },
    unavailable: new Map([
      ['waits', 'wait'],
      ['goes on', 'without'],
    ]),
    ready: (deliveries) => void ready.push(...deliveries),
    putOff: ({ id }, _failure, tries) => {
      putOff.push({ id, tries })
      return new Promise((resolve) => {
        written = resolve
      })
    },
  })
})

it('hands on at once what needs no call, ahead of what waits for one', () => {
  preparing.add([waits(), leasedDelivery({ id: '2', rule: 'waits', event: { type: 'ping' } })])
  expect(ready.map(({ id, resource }) => [id, resource])).toEqual([['2', null]])
  expect(preparing.size()).toBe(1)
})

it('hands on what was fetched, and keeps the delivery as it is', async () => {
  const delivery = waits()
  preparing.add([delivery])
  calls[0]?.({ resource: job })
  await settled()
  expect(ready).toEqual([{ ...delivery, resource: job }])
  expect(preparing.size()).toBe(0)
})

it('goes on without after one timeout, whatever the call waits for', async () => {
  preparing.add([leasedDelivery({ id: '1', rule: 'goes on' })])
  await eventually(
    () => ready.length,
    (count) => count === 1,
  )
  expect(ready[0]?.resource).toBe(null)
})

it('holds what is put off until that is written, and counts how often it was', async () => {
  for (const tries of [1, 2, 3]) {
    preparing.add([waits()])
    calls.pop()?.({ unavailable: 'why' })
    await settled()
    expect(putOff.at(-1)).toEqual({ id: '1', tries })
    expect(preparing.size()).toBe(1)
    written()
    await settled()
    expect(preparing.size()).toBe(0)
  }
  preparing.add([waits()])
  calls.pop()?.({ resource: job })
  await settled()
  preparing.add([waits()])
  calls.pop()?.({ unavailable: 'why' })
  await settled()
  expect(putOff.at(-1)).toEqual({ id: '1', tries: 1 })
})

it('gives up what is given back: what the call finds later is nobody’s', async () => {
  preparing.add([waits('1'), waits('2')])
  calls[0]?.({ resource: job })
  await settled()
  expect(preparing.clear().map(({ id }) => id)).toEqual(['2'])
  calls[1]?.({ unavailable: 'why' })
  await settled()
  expect(ready.map(({ id }) => id)).toEqual(['1'])
  expect([putOff, preparing.size()]).toEqual([[], 0])
})
