/** The senders: a steady stream to both relays, retried until it is acknowledged, and among it what must be refused. */
import { setMaxListeners } from 'node:events'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { relayNames, type RelayName } from './faults.ts'
import type { Entry, Forgery, Ledger, Sending } from './ledger.ts'
import { type Message, type MessageFactory } from './messages.ts'
import type { Random } from './random.ts'
import { signed, type Signer, type WebhookHeaders } from './signing.ts'

export interface Generator {
  /** Sends no new messages; those that are under way are retried on. */
  stopOffering(): void
  /** Messages that are not acknowledged yet. */
  waiting(): number
  /** One message, by way of this relay only, until it is acknowledged. */
  sendFresh(relay: RelayName, limitMs: number): Promise<Message>
  stop(): Promise<void>
}

export interface GeneratorOptions {
  /** Of the proxy before each relay. */
  ports: Record<RelayName, number>
  path: string
  perSecond: number
  messages: MessageFactory
  signer: Signer
  ledger: Ledger
  random: Random
}

/** A sender waits seconds, not minutes. */
const answerLimitMs = 5_000
const retry = { firstMs: 150, maxMs: 2_000 }

/** Offered no faster than this is worked off: an outage must not fill the memory. */
const maxWaiting = 4_000

/** Out of 1,000 turns. */
const turns = { burst: 30, again: 25, forgery: 35 }

export function startGenerator(options: GeneratorOptions): Generator {
  const { ports, path, perSecond, messages, signer, ledger, random } = options
  const agents = { a: newAgent(), b: newAgent() }
  const underWay = new Set<Promise<unknown>>()
  const acknowledged: Entry[] = []
  const stopping = new AbortController()
  // As many as there are messages between two tries.
  setMaxListeners(0, stopping.signal)
  let waiting = 0
  let forged = 0

  function post(relay: RelayName, headers: WebhookHeaders, body: Buffer): Promise<Sending> {
    const started = performance.now()
    return new Promise((resolve) => {
      const done = (status: number, answer: string) => {
        clearTimeout(timer)
        resolve({ at: Date.now(), relay, status, answer, tookMs: Math.round(performance.now() - started) })
      }
      const sending = request(
        {
          host: '127.0.0.1',
          port: ports[relay],
          path,
          method: 'POST',
          agent: agents[relay],
          headers: { 'content-type': 'application/json', 'content-length': body.length, ...headers },
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => done(response.statusCode ?? 0, wordOf(Buffer.concat(chunks).toString())))
          response.on('error', (error) => done(0, error.message))
        },
      )
      const timer = setTimeout(() => sending.destroy(new Error('no answer in time')), answerLimitMs)
      sending.on('error', (error: NodeJS.ErrnoException) => done(0, error.code ?? error.message))
      sending.end(body)
    })
  }

  async function sendOnce(entry: Entry, relay: RelayName): Promise<Sending> {
    const { id, body, scheme } = entry.message
    const token = `${entry.sendings.length}${relay}${random.between(0, 1e9)}`
    const sending = await post(relay, signed({ id, body, scheme, atMs: Date.now(), token }, signer.keys, signer.audience), body)
    ledger.answered(entry, sending)
    return sending
  }

  /** Gemini retries what is not answered by 2xx, with the same id and body. */
  async function sendUntilAcknowledged(entry: Entry, first: RelayName): Promise<void> {
    waiting++
    let relay = first
    for (let pauseMs = retry.firstMs; !stopping.signal.aborted; pauseMs = Math.min(pauseMs * 2, retry.maxMs)) {
      const { status } = await sendOnce(entry, relay)
      if (status !== 0 && status !== 503 && status !== 408) break
      relay = otherOf(relay)
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
    waiting--
    if (entry.acknowledgedAt !== undefined) acknowledged.push(entry)
  }

  async function burst(): Promise<void> {
    const entry = ledger.opened(messages.next())
    const copies = random.between(1, 6)
    await Promise.all([
      ...Array.from({ length: copies }, (_, n) => sendOnce(entry, n % 2 === 0 ? 'a' : 'b')),
      sendUntilAcknowledged(entry, random.pick(relayNames)),
    ])
  }

  /** A sender that did not hear us the first time. */
  async function again(): Promise<void> {
    const entry = acknowledged[random.between(0, acknowledged.length - 1)]
    if (entry !== undefined) await sendOnce(entry, random.pick(relayNames))
  }

  async function forge(): Promise<void> {
    const made = forgery(random.pick(['stranger', 'other body', 'other id', 'past', 'future', 'unsigned']))
    if (made === undefined) return
    const { headers, body, ...about } = made
    const entry: Forgery = { ...about, sendings: [] }
    ledger.forgeries.push(entry)
    entry.sendings.push(await post(random.pick(relayNames), headers, body))
  }

  function forgery(how: string): { id: string; how: string; headers: WebhookHeaders; body: Buffer } | undefined {
    const message = messages.next()
    const id = message.id.replace('msg_', 'forged_')
    const { scheme, body } = message
    const { keys, stranger, audience } = signer
    const token = `forged ${forged++}`
    const fresh = (atMs: number, by = keys) => signed({ id, body, scheme, atMs, token }, by, audience)
    const now = Date.now()
    switch (how) {
      case 'stranger':
        return { id, how, headers: fresh(now, stranger), body }
      // A request takes seconds on a slow connection: well beyond the five minutes that pass.
      case 'past':
        return { id, how, headers: fresh(now - random.between(330, 86_400) * 1_000), body }
      case 'future':
        return { id, how, headers: fresh(now + random.between(330, 86_400) * 1_000), body }
      case 'unsigned':
        return { id, how, headers: { ...fresh(now), 'webhook-signature': 'v1,' }, body }
      // A JWT alone binds neither: `once` binds the token to the id that it came with first.
      case 'other body': {
        const known = acknowledged[random.between(0, acknowledged.length - 1)]?.message
        if (known === undefined || known.scheme === 'jwt') return undefined
        const signedFor = { id: known.id, body: known.body, scheme: known.scheme, atMs: now }
        return { id: known.id, how, headers: signed(signedFor, keys, audience), body }
      }
      case 'other id': {
        if (scheme === 'jwt') return undefined
        const captured = signed({ id: message.id, body, scheme, atMs: now }, keys, audience)
        return { id, how, headers: { ...captured, 'webhook-id': id }, body }
      }
      default:
        return undefined
    }
  }

  /** A token that has let in one event must not let in another. */
  async function reuseToken(): Promise<void> {
    const message: Message = { ...messages.next(), scheme: 'jwt' }
    const entry = ledger.opened(message)
    const { id, body } = message
    const relay = random.pick(relayNames)
    const headers = signed({ id, body, scheme: 'jwt', atMs: Date.now(), token: 'to be reused' }, signer.keys, signer.audience)
    const sending = await post(relay, headers, body)
    ledger.answered(entry, sending)
    if (sending.status !== 200) return sendUntilAcknowledged(entry, relay)
    acknowledged.push(entry)
    const forgedId = id.replace('msg_', 'forged_')
    const made: Forgery = { id: forgedId, how: 'reused token', sendings: [] }
    ledger.forgeries.push(made)
    made.sendings.push(await post(otherOf(relay), { ...headers, 'webhook-id': forgedId }, body))
  }

  function track(work: Promise<unknown>): void {
    underWay.add(work)
    void work.finally(() => underWay.delete(work))
  }

  function turn(): void {
    if (waiting > maxWaiting) return
    const drawn = random.between(1, 1_000)
    if (drawn <= turns.burst) return track(burst())
    if (drawn <= turns.burst + turns.again) return track(again())
    if (drawn <= turns.burst + turns.again + turns.forgery) return track(random.next() < 0.15 ? reuseToken() : forge())
    track(sendUntilAcknowledged(ledger.opened(messages.next()), random.pick(relayNames)))
  }

  const begun = performance.now()
  let taken = 0
  const timer = setInterval(() => {
    // A timer comes late at times: what is due by now is sent now.
    const due = Math.floor(((performance.now() - begun) / 1_000) * perSecond)
    for (; taken < due; taken++) turn()
  }, 5)

  return {
    stopOffering: () => clearInterval(timer),
    waiting: () => waiting,
    async sendFresh(relay, limitMs) {
      const entry = ledger.opened(messages.next())
      for (const giveUpAt = Date.now() + limitMs; entry.acknowledgedAt === undefined && Date.now() < giveUpAt;) {
        const { status } = await sendOnce(entry, relay)
        if (status !== 200) await sleep(retry.firstMs)
      }
      return entry.message
    },
    async stop() {
      clearInterval(timer)
      stopping.abort()
      await Promise.all(underWay)
      agents.a.destroy()
      agents.b.destroy()
    },
  }
}

function newAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 64 })
}

function otherOf(relay: RelayName): RelayName {
  return relay === 'a' ? 'b' : 'a'
}

/** The one word of an answer that matters. */
function wordOf(text: string): string {
  return /"(?:status|code)":"(\w+)"/.exec(text)?.[1] ?? text.slice(0, 80)
}
