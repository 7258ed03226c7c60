/** What is said to whoever asks at the admin port. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isLoopback } from '../loopback.ts'
import type { Metrics } from './metrics.ts'

export interface Answer {
  status: number
  headers: Readonly<Record<string, string>>
  body: string
}

/** @param token that a request has to carry. Without one only this machine reaches the port, and a request has to be meant for it */
export async function answerTo(request: IncomingMessage, token: string | undefined, metrics: Metrics): Promise<Answer> {
  const { method, url, headers } = request
  if (token === undefined && !isForThisMachine(headers.host))
    return refusal(403, 'host_refused', 'without a token only requests for a loopback address are answered')
  if (token !== undefined && !carries(headers.authorization, token))
    return refusal(401, 'unauthorized', 'send the token: `Authorization: Bearer …`', { 'www-authenticate': 'Bearer' })
  if (url?.split('?')[0] !== '/metrics') return refusal(404, 'not_found', 'there is /metrics, and nothing else')
  if (method !== 'GET' && method !== 'HEAD')
    return refusal(405, 'method_not_allowed', 'only GET, HEAD is answered here', { allow: 'GET, HEAD' })
  return { status: 200, headers: { 'content-type': metrics.contentType }, body: await metrics.text() }
}

export function refusal(status: number, code: string, error: string, headers: Answer['headers'] = {}): Answer {
  return {
    status,
    headers: { ...headers, 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify({ error, code }),
  }
}

/** A page in a browser on this machine may send its requests here, under a name of its own that it lets lead to 127.0.0.1. */
function isForThisMachine(host = ''): boolean {
  return isLoopback(host.toLowerCase().replace(/:\d+$/, ''))
}

function carries(authorization: string | undefined, token: string): boolean {
  const [, given = ''] = /^bearer +(.*)$/i.exec(authorization ?? '') ?? []
  return timingSafeEqual(digest(given), digest(token))
}

/** Of one length, whatever was sent. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
