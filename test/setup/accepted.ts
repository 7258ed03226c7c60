/** Events that were really accepted, with their deliveries leased to the test instead of to a relay. */
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { createAcceptor, type Acceptor, type AcceptorOptions } from '../../src/accept/acceptor.ts'
import { migrate } from '../../src/store/migrate.ts'
import { createPool, type Pool } from '../../src/store/pool.ts'
import { createSession } from '../../src/store/session.ts'
import type { LeasedDelivery, VerifiedRequest } from '../../src/types.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { secret, signedHeaders, type Sent } from './sender.ts'

export const silent = pino({ level: 'silent' })

export interface TestAcceptor {
  acceptor: Acceptor
  pool: Pool
  /** Signs, verifies and accepts; the event's delivery to `sink`. */
  accept(sent: Sent): Promise<LeasedDelivery>
  close(): Promise<void>
}

/** A migrated database and an acceptor on it, whose one rule feeds one sink. */
export async function startAcceptor(url: string, odd: Partial<AcceptorOptions> = {}): Promise<TestAcceptor> {
  const pool = createPool({ url, part: 'accept', max: 2, statementTimeoutMs: 3_000, log: silent })
  await migrate(pool)
  const handedOver = new Map<string, LeasedDelivery>()
  const session = createSession(pool)
  const acceptor = createAcceptor({
    session,
    plan: () => ({ rules: [], route: () => [{ rule: 'all', sink: 'jobs' }] }),
    horizonMs: () => 600_000,
    ordered: () => false,
    desk: {
      reserve: () => true,
      cancel() {},
      overflowed() {},
      handOver(deliveries) {
        for (const delivery of deliveries) handedOver.set(delivery.stored.event.webhook_id, delivery)
      },
    },
    holder: 'test',
    leaseMs: 600_000,
    leaseMarginMs: 2_000,
    log: silent,
    ...odd,
  })
  return {
    acceptor,
    pool,
    async accept(sent) {
      const request = verified(sent)
      await acceptor.accept(request)
      const delivery = handedOver.get(request.webhookId)
      if (delivery === undefined) throw new Error(`${request.webhookId} was not handed over`)
      return delivery
    },
    async close() {
      session.release()
      await pool.end()
    },
  }
}

const verifier = createVerifier({ source: { name: 'gemini', secrets: [secret] }, log: silent })

/** What the verifier makes of a signed request. */
export function verified({ id = `msg_${randomUUID()}`, body = '', timestamp = new Date() }: Sent): VerifiedRequest {
  const headers = signedHeaders({ id, body, timestamp })
  const request = verifier.verify({
    source: 'gemini',
    webhookId: [id],
    webhookTimestamp: [headers['webhook-timestamp'] ?? ''],
    webhookSignature: [headers['webhook-signature'] ?? ''],
    body: Buffer.from(body),
    receivedAt: new Date(),
  })
  if (request instanceof Promise) throw new Error('an HMAC is verified at once')
  return request
}
