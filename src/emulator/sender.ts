/** Delivers what happens to those who want it, at least once, with retries, and badly where a fault asks for it. */
import { messageOf } from '../errors.ts'
import { pingType } from '../gemini/catalog.ts'
import type { Log } from '../log.ts'
import { signDelivery, signWrongly, type Signer } from './attempt-headers.ts'
import { retryDelayMs, retryForMs } from './backoff.ts'
import type { EmulatedClock } from './clock.ts'
import { createDelivery, type Delivery, type Happening, type Target } from './delivery.ts'
import type { Faults } from './faults.ts'
import type { KeyRing } from './key-ring.ts'
import { createLimit } from './limit.ts'
import { createOutbox } from './outbox.ts'
import { createPoster, unanswered, type PostResult } from './post.ts'
import type { Settings } from './settings.ts'
import type { Webhook, Webhooks } from './webhooks.ts'

export interface SenderOptions {
  clock: EmulatedClock
  webhooks: Webhooks
  keys: KeyRing
  faults: Faults
  settings: () => Settings
  log: Log
  /** How long a receiver may take, in milliseconds of real time. */
  timeoutMs?: number
}

export interface Sender {
  /** To the webhooks that want it, or to `uris` instead of them. */
  emit: (happening: Happening, uris?: readonly string[]) => Delivery[]
  ping: (webhook: Webhook) => void
  /** Oldest first; those that are over are forgotten some time. */
  list: () => Delivery[]
  /** Once more from the beginning, under its old webhook-id. @returns false where there is none of this id */
  resend: (id: string) => boolean
  /** Attempts that fall due are not made until `resume`; the hours of retries go on. */
  pause: () => void
  resume: () => void
  isPaused: () => boolean
  /** Sends what a `reorder` still holds back. */
  release: () => void
  stop: () => Promise<void>
}

/** Documented is "within a few seconds"; Standard Webhooks asks senders to wait 15 to 30. */
const usualTimeoutMs = 15_000

/** Attempts at the same time. */
const maxInFlight = 64

export function createSender(options: SenderOptions): Sender {
  const { clock, webhooks, keys, faults, settings, log, timeoutMs = usualTimeoutMs } = options
  const outbox = createOutbox()
  const limit = createLimit({
    max: maxInFlight,
    failed: (error) => log.error({ error: messageOf(error) }, 'unexpected error while sending'),
  })
  const poster = createPoster(timeoutMs)
  let stopped = false
  /** Held back by a `reorder`, in the order they came. */
  let shelf: Delivery[] = []
  /** Fell due while the sender was paused. */
  let held: Delivery[] = []
  let paused = false

  function enqueue(happening: Happening, target: Target): Delivery | undefined {
    const delivery = createDelivery(happening, target, settings())
    if (!outbox.add(delivery)) {
      log.warn({ type: happening.type }, 'too many deliveries are pending: this one is dropped')
      return undefined
    }
    const fault = faults.forDelivery(['delay', 'reorder'], delivery.type)
    if (fault?.kind === 'reorder') {
      shelf.push(delivery)
      if (fault.times <= 0) release()
      return delivery
    }
    plan(delivery, fault?.kind === 'delay' ? happening.at + (fault.ms ?? usualDelayMs) : happening.at)
    return delivery
  }

  function plan(delivery: Delivery, time: number): void {
    clock.at(time, (due) => limit.run(() => attempt(delivery, due)))
  }

  async function attempt(delivery: Delivery, due: number): Promise<void> {
    if (stopped || delivery.state !== 'pending') return
    if (paused) return void held.push(delivery)
    const address = addressOf(delivery)
    if (typeof address === 'string') return giveUp(delivery, address)
    delivery.attempts += 1
    const result = await send(delivery, address)
    if (stopped) return
    delivery.last = result.told
    log.info(
      { webhook_id: delivery.id, type: delivery.type, to: withoutQuery(address.uri), attempt: delivery.attempts },
      `delivery: ${result.told}`,
    )
    settle(delivery, due, result)
  }

  /** One attempt, or two of them where a fault asks for a duplicate. */
  async function send(delivery: Delivery, { uri, signer }: Address): Promise<PostResult> {
    const fault = faults.forDelivery(['bad_signature', 'stale', 'lost', 'duplicate'], delivery.type)
    if (fault?.kind === 'lost') return unanswered('lost on request')
    const timestamp = new Date(Date.now() - (fault?.kind === 'stale' ? (fault.ms ?? usualStaleMs) : 0))
    const headers = await (fault?.kind === 'bad_signature' ? signWrongly : signDelivery)(delivery, signer, timestamp)
    const copies = fault?.kind === 'duplicate' ? [headers, headers] : [headers]
    const [first, second] = await Promise.all(copies.map((copy) => poster.post(uri, delivery.body, copy)))
    if (first === undefined) throw new Error('nothing was sent')
    return second !== undefined && !first.isTaken ? second : first
  }

  function settle(delivery: Delivery, due: number, { isTaken, status, retryAfterSeconds }: PostResult): void {
    const webhook = webhookOf(delivery)
    if (isTaken) {
      if (webhook !== undefined) webhooks.succeeded(webhook, due)
      return outbox.end(delivery, 'delivered')
    }
    if (status === 410) {
      if (webhook?.state === 'enabled') webhooks.disable(webhook)
      return giveUp(delivery, 'the receiver is gone')
    }
    const lastDue = delivery.since + retryForMs
    const next = due + retryDelayMs(delivery.attempts, Math.random(), retryAfterSeconds)
    if (due < lastDue) return plan(delivery, Math.min(next, lastDue))
    // Nothing has got through for as long as this one was tried.
    if (webhook?.state === 'enabled' && webhook.lastGoodAt <= delivery.since) webhooks.disable(webhook)
    giveUp(delivery, `no success in 24 hours (${delivery.last ?? ''})`)
  }

  function giveUp(delivery: Delivery, reason: string): void {
    delivery.last = reason
    log.warn({ webhook_id: delivery.id, type: delivery.type, attempts: delivery.attempts, reason }, 'delivery given up')
    outbox.end(delivery, 'given_up')
  }

  /** Looked up at each attempt: a new address and new secrets count at once. @returns why there is none */
  function addressOf(delivery: Delivery): Address | string {
    const { target } = delivery
    if (target.kind === 'dynamic') return { uri: target.uri, signer: { kind: 'keys', keys, settings: settings() } }
    const webhook = webhooks.find(target.webhook)
    if (webhook === undefined) return 'the webhook was deleted'
    if (webhook.state !== 'enabled') return `the webhook is ${webhook.state}`
    const secrets = webhooks.secretsOf(webhook).map(({ secret }) => secret)
    return { uri: webhook.uri, signer: { kind: 'secrets', secrets } }
  }

  function webhookOf({ target }: Delivery): Webhook | undefined {
    return target.kind === 'static' ? webhooks.find(target.webhook) : undefined
  }

  /** One after the other, so that they arrive in this order. */
  function release(): void {
    const reversed = shelf.toReversed()
    shelf = []
    const due = clock.now()
    limit.run(async () => {
      for (const delivery of reversed) await attempt(delivery, due)
    })
  }

  return {
    emit(happening, uris = []) {
      const targets: Target[] =
        uris.length > 0
          ? uris.map((uri) => ({ kind: 'dynamic', uri }))
          : webhooks.wanting(happening.type).map(({ id }) => ({ kind: 'static', webhook: id }))
      return targets.flatMap((target) => enqueue(happening, target) ?? [])
    },
    ping(webhook) {
      enqueue({ type: pingType, at: clock.now(), data: { id: webhook.id } }, { kind: 'static', webhook: webhook.id })
    },
    list: outbox.list,
    resend(id) {
      const delivery = outbox.find(id)
      if (delivery === undefined) return false
      const now = clock.now()
      if (outbox.reopen(delivery, now)) plan(delivery, now)
      return true
    },
    pause() {
      paused = true
    },
    resume() {
      paused = false
      const now = clock.now()
      const waiting = held
      held = []
      for (const delivery of waiting) {
        if (now > delivery.since + retryForMs) giveUp(delivery, 'no attempt in 24 hours: the sender was paused')
        else plan(delivery, now)
      }
    },
    isPaused: () => paused,
    release,
    async stop() {
      stopped = true
      poster.stop()
      await limit.stop()
    },
  }
}

interface Address {
  uri: string
  signer: Signer
}

const usualDelayMs = 60_000

/** Twice what receivers are told to accept. */
const usualStaleMs = 600_000

function withoutQuery(uri: string): string {
  const { origin, pathname } = new URL(uri)
  return `${origin}${pathname}`
}
