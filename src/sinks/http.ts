/** POST of the stored bytes, or of what `value` makes of the event, to a URL; signed as a Standard Webhook when the sink has a secret. */
import { createHmac } from 'node:crypto'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { bareHost } from '../public-address.ts'
import { ExpressionError } from '../route/expression.ts'
import { TemplateError } from '../route/template.ts'
import type { Clock, LeasedDelivery, Outcome } from '../types.ts'
import { decodeSecret } from '../verify/secrets.ts'
import type { ByRule } from './by-rule.ts'
import { createConceal, secretsOfUrl } from './conceal.ts'
import { withDeadline } from './deadline.ts'
import { AddressRefused, guardedLookup, lookupAll, refuseLiteral, socketLookup, type Lookup } from './http-address.ts'
import { headerSecrets } from './http-headers.ts'
import { compileRequests, type HttpRequest, type RenderRequest } from './http-request.ts'
import { oneByOne } from './one-by-one.ts'
import { compileSaid } from './retarget.ts'
import { rateLimitPauseMs, retryAfterMs } from './retry-after.ts'
import { failed, type Sink } from './sink.ts'

/** What is read of an answer at most: it only feeds the message of a failure and keeps the connection usable. */
const maxResponseBytes = 65_536

/** How long an answer's body is waited for once its status is known; a receiver that dawdles over it loses the connection only. */
const bodyWaitMs = 1_000

/** Of an answer's body, in a failure's message. */
const shownCharacters = 200

interface HttpSinkOptions {
  name: string
  config: SinkConfigOf<'http'>
  /** The rules that feed this sink, with what they say about it. */
  targets: readonly Target[]
  log: Log
  /** Resolves a host to all its addresses; by default the system's resolver. */
  lookup?: Lookup
  now?: Clock
}

type Conceal = (text: string) => string

/** What rules say of the sink. */
interface HttpSaid {
  requests: ByRule<RenderRequest>
  conceal: Conceal
}

interface Answer {
  status: number
  retryAfter: string | undefined
  text: string
}

/**
 * Only 2xx is success, and redirects are not followed: a receiver that moved is for a person to look at.
 *
 * @throws RelayError `config_invalid` for a secret that is not a `whsec_` one
 */
export function createHttpSink({ name, config, targets, log, lookup = lookupAll, now = Date.now }: HttpSinkOptions): Sink {
  const url = new URL(config.url)
  const host = bareHost(url)
  const key = config.secret === undefined ? undefined : decodeSecret(config.secret, `sink ${name}: secret`)
  const ownSecrets = [config.secret ?? '', config.secret?.replace(/^whsec_/, '') ?? '', ...secretsOfUrl(url)]
  const said = compileSaid(targets, (all) => ({
    requests: compileRequests(config, all),
    conceal: createConceal([...ownSecrets, ...headerSecrets(config, all)]),
  }))
  // The agent is this sink's own, so that every connection it keeps was opened through this sink's look-up.
  // A proxy would resolve the name itself, past the guard; an agent that says nothing of one may take it from the environment.
  const options = { keepAlive: true, proxyEnv: null, lookup: config.allow_private ? socketLookup(lookup) : guardedLookup(lookup) }
  const agent = url.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest

  function send({ headers, body, secrets }: HttpRequest, conceal: Conceal, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!config.allow_private) refuseLiteral(host)
      const outgoing = request(url, {
        method: 'POST',
        agent,
        headers: { ...headers, 'content-length': body.length },
        signal,
      })
      outgoing.on('error', reject)
      outgoing.on('response', (response) => {
        const { statusCode: status = 0, headers: received } = response
        readText(response).then(
          (text) =>
            resolve({ status, retryAfter: received['retry-after'], text: printable(createConceal(secrets)(conceal(text))) }),
          reject,
        )
      })
      outgoing.end(body)
    })
  }

  function signatureOf(webhookId: string, body: Buffer): Record<string, string> {
    if (key === undefined) return {}
    const timestamp = String(Math.floor(now() / 1_000))
    // node:crypto and not the package: the body is bytes, and need not be UTF-8.
    const signature = createHmac('sha256', key).update(`${webhookId}.${timestamp}.`).update(body).digest('base64')
    return { 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
  }

  async function attempt({ requests, conceal }: HttpSaid, delivery: LeasedDelivery, signal: AbortSignal): Promise<Outcome> {
    const render = requests.get(delivery.rule)
    if (render === undefined) return failed('internal', `rule ${delivery.rule} does not feed the sink ${name}`)
    let message: HttpRequest
    try {
      message = render(delivery)
    } catch (error) {
      if (error instanceof ExpressionError) return failed('expression_error', `sink ${name}: ${error.message}`)
      if (error instanceof TemplateError) return failed('template_error', `sink ${name}: ${error.message}`)
      throw error
    }
    const headers = { ...message.headers, ...signatureOf(delivery.stored.event.webhook_id, message.body) }
    return withDeadline(signal, config.timeout, async (deadline) => {
      try {
        return outcomeOf(await send({ ...message, headers }, conceal, deadline), url.host, now())
      } catch (error) {
        if (deadline.aborted) return failed('timeout', `${url.host} did not answer in time (at most ${config.timeout} ms)`)
        if (error instanceof AddressRefused) return failed('address_refused', error.message)
        return failed('unavailable', `${url.host} cannot be reached: ${messageOf(error)}`)
      }
    })
  }

  return {
    async start() {
      if (config.allow_private) return
      try {
        refuseLiteral(host)
      } catch (error) {
        log.warn({ sink: name }, `sink ${name} can deliver nothing: ${messageOf(error)}`)
      }
    },
    deliver(batch, signal) {
      const rules = said.now()
      return oneByOne(batch, signal, { laneOf: () => url.host, attempt: (delivery) => attempt(rules, delivery, signal) })
    },
    retarget: said.retarget,
    async close() {
      agent.destroy()
    },
  }
}

function outcomeOf({ status, retryAfter, text }: Answer, host: string, now: number): Outcome {
  if (status >= 200 && status < 300) return { status: 'delivered' }
  const message = `${host} answered ${status}${text === '' ? '' : `: ${text}`}`
  if (status === 429) return failed('rate_limited', message, rateLimitPauseMs(retryAfter, now))
  if (status === 410) return failed('gone', message)
  if (status === 408 || status === 425 || status >= 500) return failed('unavailable', message, retryAfterMs(retryAfter, now))
  if (status >= 300 && status < 400)
    return failed('rejected', `${message} (redirects are not followed: put the new address into the sink's url)`)
  return failed('rejected', message)
}

/** The start of a body; it is given up beyond its bounds, and never fails: the status has spoken already. */
function readText(response: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const giveUp = () => response.destroy()
    const timer = setTimeout(giveUp, bodyWaitMs)
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      chunks.push(chunk)
      if (bytes > maxResponseBytes) giveUp()
    })
    response.on('error', giveUp)
    response.on('close', () => {
      clearTimeout(timer)
      resolve(Buffer.concat(chunks).subarray(0, maxResponseBytes).toString('utf8'))
    })
  })
}

/** On one line, and short. */
function printable(text: string): string {
  const plain = text.replaceAll(/[\p{C}\p{Z}]+/gu, ' ').trim()
  return plain.slice(0, shownCharacters).replace(/[\uD800-\uDBFF]$/, '')
}
