/** A steady load of signed events that remembers every answer: a 2xx is an obligation. */
import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { envelope, signedHeaders } from './sender.ts'

export interface LoadAnswer {
  id: string
  /** 0: no answer, the connection broke. */
  status: number
  retryAfter: string | undefined
  tookMs: number
  /** Milliseconds since the epoch, when the answer was there. */
  at: number
  error?: string
  /** Whether it went over a connection that had carried an answer before. */
  reused: boolean
}

export interface Load {
  answers: LoadAnswer[]
  acknowledged(): string[]
  stop(): Promise<void>
}

/**
 * @param url a function, so that a relay that comes back on another port can be followed
 * @param perSecond requests a second, spread evenly, whatever the answers do; a timer that comes late makes up for it
 */
export function startLoad(url: () => string, perSecond: number, type = 'batch.succeeded'): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const answers: LoadAnswer[] = []
  const underWay = new Set<Promise<void>>()
  const started = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    while (sent < ((performance.now() - started) * perSecond) / 1_000) send()
  }, 1_000 / perSecond)

  function send(): void {
    sent += 1
    const sending = sendOne(agent, url(), type).then((answer) => {
      answers.push(answer)
      underWay.delete(sending)
    })
    underWay.add(sending)
  }
  return {
    answers,
    acknowledged: () => answers.filter(({ status }) => status === 200).map(({ id }) => id),
    async stop() {
      clearInterval(timer)
      await Promise.all(underWay)
      agent.destroy()
    },
  }
}

function sendOne(agent: Agent, url: string, type: string): Promise<LoadAnswer> {
  const id = `msg_${randomUUID()}`
  const body = envelope(type)
  const started = performance.now()
  const answer = (reused: boolean, status: number, retryAfter?: string, error?: string): LoadAnswer => ({
    id,
    reused,
    status,
    retryAfter,
    tookMs: performance.now() - started,
    at: Date.now(),
    ...(error === undefined ? {} : { error }),
  })
  return new Promise((resolve) => {
    const sending = request(url, { method: 'POST', agent, headers: signedHeaders({ id, body }) }, (response) => {
      response.resume()
      response.on('end', () => resolve(answer(sending.reusedSocket, response.statusCode ?? 0, response.headers['retry-after'])))
      response.on('error', (error) => resolve(answer(sending.reusedSocket, 0, undefined, error.message)))
    })
    sending.on('error', (error: NodeJS.ErrnoException) =>
      resolve(answer(sending.reusedSocket, 0, undefined, error.code ?? error.message)),
    )
    sending.end(body)
  })
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}
