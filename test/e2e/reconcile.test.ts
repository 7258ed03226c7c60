/** An outage longer than Gemini's retries, and the command that makes up for it. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { startReconciling, type Reconciling } from '../setup/reconciling.ts'
import { eventually } from '../setup/sender.ts'

let at: Reconciling
let relay: RelayProcess

beforeAll(async () => {
  at = await startReconciling()
  relay = await spawnRelay(at.config)
  await at.sendTo(relay.url)
})
afterAll(async () => {
  await relay?.stop()
  await at?.close()
})

const batches = 1_000

async function expectOneOfEach(): Promise<void> {
  await eventually(
    () => at.count(`gemini_relay.deliveries where state = 'delivered'`),
    (count) => count === 2 * batches,
  )
  expect(await at.count('gemini_relay.deliveries')).toBe(2 * batches)
  expect(await at.count('(select distinct event_id, sink from gemini_relay.deliveries) d')).toBe(2 * batches)
  expect(await at.count('(select distinct event_id from gemini_relay.deliveries) d')).toBe(batches)
  expect(await at.count('jobs')).toBe(batches)
  expect(at.receiver.requests.length).toBe(batches)
}

it('makes one event of each of 1,000 batches that ended while nothing was sent for 30 hours, and takes late webhooks without delivering again', async () => {
  await at.emulator.steer('POST', '/sender', { paused: true })
  const names = await at.batches(batches, { after: '1ms', file: 'files/input' })
  await at.emulator.steer('POST', '/clock', { advance: '30h' })
  await at.emulator.steer('POST', '/sender', { paused: false })
  await eventually(
    async () => (await at.emulator.steer('GET', '/deliveries?state=given_up')).body.deliveries,
    (deliveries) => Array.isArray(deliveries) && deliveries.length === batches,
  )

  const first = await at.reconcile()
  expect(first.output).toMatch(/^1000 batches ended since \S+Z, 1000 events made, 0 were there\n/)
  expect(first.code).toBe(0)
  await expectOneOfEach()
  expect(new Set((await at.db.query<{ job: string }>('select job from jobs')).rows.map(({ job }) => job))).toEqual(new Set(names))

  const second = await at.reconcile()
  expect(second.output).toMatch(/^1000 batches ended since \S+Z, 0 events made, 1000 were there\n/)
  await expectOneOfEach()

  await at.emulator.steer('POST', '/deliveries/resend', { state: 'given_up' })
  const late = await eventually(
    async () => (await at.emulator.steer('GET', '/deliveries?state=delivered')).body.deliveries,
    (deliveries) => Array.isArray(deliveries) && deliveries.length === batches,
  )
  expect(late).toEqual(Array.from({ length: batches }, () => expect.objectContaining({ attempts: 1, last: '200' })))
  expect(await at.count('gemini_relay.events')).toBe(2 * batches)
  await expectOneOfEach()
})
