/** Secrets are rotated while events come: 500 a second, signed by the emulator with whatever is live there. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { manageRelay } from '../setup/managed-relay.ts'
import { envelope, eventually, post, signedHeaders } from '../setup/sender.ts'

/** At least; 30 is what it is to stand. */
const seconds = Number(process.env.ROTATION_SECONDS ?? 12)
const perSecond = 500

it(
  'rotates with both behaviours under load: no delivery is refused for good, and none of a revoked secret is taken',
  async (test) => {
    // Fast enough that a retry after a 503 comes within the second, slow enough that a day stays a day.
    const managed = await manageRelay(test, { speed: 10 })
    const relay = await managed.serve()
    const { id, secret: first } = await managed.create(relay.hook)
    const before = Date.now()
    const done = new AbortController()
    let emitted = 0
    // As many as are due, in one call: the caller takes less of the machine than what it is about.
    const emitting = (async () => {
      while (!done.signal.aborted || Date.now() - before < seconds * 1_000) {
        const times = Math.min(1_000, Math.floor(((Date.now() - before) / 1_000) * perSecond) - emitted)
        emitted += times
        if (times > 0)
          await managed.emulator.steer('POST', '/events', { type: 'batch.succeeded', data: { id: 'batches/b1' }, times })
        await sleep(20)
      }
    })()
    // In force at once, answered a second later: the time in which nobody but Gemini knows the new secret.
    await managed.emulator.steer('POST', '/faults', { kind: 'api_slow', path: 'rotateSigningSecret', by: '1s', times: 2 })
    await sleep((seconds / 4) * 1_000)
    const second = await managed.rotate(id)
    await sleep((seconds / 4) * 1_000)
    const third = await managed.rotate(id, '--revoke', 'immediately')
    const revokedAt = Date.now()
    const late: [sentAt: number, status: number][] = []
    while (Date.now() - revokedAt < 3_000) {
      for (const secret of [first, second]) {
        const sent = { id: `late_${Math.random()}`, body: envelope('batch.failed') }
        const sentAt = Date.now() - revokedAt
        const { status } = await post(relay.hook, { ...sent, headers: signedHeaders(sent, secret) })
        late.push([sentAt, status])
      }
      await sleep(50)
    }
    done.abort()
    await emitting
    expect(emitted).toBeGreaterThan(seconds * perSecond * 0.9)

    const stored = async () => {
      const { rows } = await managed.db.query<{ n: number }>(
        `select count(*)::int as n from gemini_relay.events where type = 'batch.succeeded'`,
      )
      return rows[0]?.n
    }
    await eventually(stored, (count) => count === emitted, 60_000)
    const pending = await managed.emulator.steer('GET', '')
    expect(pending.body.deliveries).toMatchObject({ given_up: 0 })
    // What could not be verified was kept for later with a 503, and never refused.
    const answers = [...managed.emulator.log().matchAll(/delivery: (\d+)/g)].map(([, status]) => status)
    expect(new Set(answers)).toEqual(new Set(['200', '503']))
    expect(answers.filter((status) => status === '503').length).toBeGreaterThan(10)
    expect(late.filter(([sentAt, status]) => sentAt > 1_000 && status === 200)).toEqual([])
    expect(late.length).toBeGreaterThan(20)
    const sent = { body: envelope('batch.failed') }
    expect((await post(relay.hook, { ...sent, id: 'last', headers: signedHeaders({ ...sent, id: 'last' }, third) })).status).toBe(
      200,
    )
  },
  (seconds + 90) * 1_000,
)
