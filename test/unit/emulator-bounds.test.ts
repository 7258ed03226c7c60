/** What the emulator keeps is bounded: the page says by how much. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createClock } from '../../src/emulator/clock.ts'
import { createDelivery, type Delivery } from '../../src/emulator/delivery.ts'
import { createJobs } from '../../src/emulator/jobs.ts'
import { createLimit } from '../../src/emulator/limit.ts'
import { createOutbox } from '../../src/emulator/outbox.ts'
import { live, newSecrets, rotated } from '../../src/emulator/secrets.ts'
import { defaultSettings } from '../../src/emulator/settings.ts'
import { createWebhooks } from '../../src/emulator/webhooks.ts'
import { root } from '../setup/root.ts'

const bounds = /^\| Bounds +\| (.*?) +\|/m.exec(readFileSync(join(root, 'docs/emulator.md'), 'utf8'))?.[1] ?? ''

/** `1,000` before these words. */
function told(words: string): number {
  const found = new RegExp(`([\\d,]+) ${words}`).exec(bounds)?.[1]
  return Number(found?.replaceAll(',', ''))
}

describe('the emulator', () => {
  it('refuses one webhook too many', () => {
    const webhooks = createWebhooks(createClock())
    const input = { name: undefined, uri: 'https://relay.example.com/', subscribedEvents: ['batch.failed'] }
    for (let n = 0; n < told('webhooks'); n += 1) webhooks.create(input)
    expect(() => webhooks.create(input)).toThrow(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED' }))
    webhooks.remove(webhooks.list()[0]?.id ?? '')
    webhooks.create(input)
  })

  it('forgets the oldest jobs that are over, and refuses one too many that are not', () => {
    const jobs = createJobs<string, 'done'>({ noun: 'Job', clock: createClock(), ended: () => {} })
    const make = (name: string) => jobs.create(name, { uris: [], userMetadata: undefined }, { end: 'done', afterMs: null })
    const first = make('first')
    const over = make('over')
    jobs.end(over, 'done')
    for (let n = 2; n < told('jobs'); n += 1) make('one of many')
    make('in the place of one that is over')
    expect(jobs.find(over.id)).toBeUndefined()
    expect(jobs.find(first.id)).toBe(first)
    expect(() => make('one too many')).toThrow(expect.objectContaining({ code: 'RESOURCE_EXHAUSTED' }))
  })

  it('takes no more deliveries than may be pending, and keeps some that are over', () => {
    const outbox = createOutbox()
    const make = (): Delivery =>
      createDelivery({ type: 'batch.failed', at: 0, data: {} }, { kind: 'static', webhook: 'one' }, defaultSettings)
    const [first, ...others] = Array.from({ length: told('pending deliveries') }, make)
    if (first === undefined) throw new Error('there is no bound')
    for (const delivery of [first, ...others]) expect(outbox.add(delivery)).toBe(true)
    expect(outbox.add(make())).toBe(false)
    for (const delivery of [first, ...others]) outbox.end(delivery, 'delivered')
    expect(outbox.list()).toHaveLength(10_000)
    expect(outbox.find(first.id)).toBeUndefined()
    expect(outbox.add(make())).toBe(true)
  })

  it('signs with five secrets at most', () => {
    let secrets = newSecrets()
    for (let n = 0; n < 9; n += 1) secrets = rotated(secrets, 'after_h24', n)
    expect(live(secrets, 9)).toHaveLength(5)
  })

  it('does no more at the same time than it may, in the order in which it was asked', async () => {
    const started: number[] = []
    const finish: (() => void)[] = []
    const failures: unknown[] = []
    const limit = createLimit({ max: 2, failed: (error) => failures.push(error) })
    for (const n of [1, 2, 3, 4])
      limit.run(async () => {
        started.push(n)
        await new Promise<void>((resolve) => finish.push(resolve))
        if (n === 1) throw new Error('the first one fails')
      })
    expect(started).toEqual([1, 2])
    finish[0]?.()
    await new Promise(setImmediate)
    expect([started, failures.length]).toEqual([[1, 2, 3], 1])
    const stopped = limit.stop()
    for (const resolve of finish) resolve()
    await stopped
    expect(started).toEqual([1, 2, 3])
  })
})
