/**
 * A local stand-in for Slack's Web API: what chat.postMessage, chat.update and auth.test answer according to Slack's reference,
 * and, on request, the ways in which Slack and the way to it fail. It shares no code with the sink that talks to it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isMap } from '../json-map.ts'
import {
  createSlackChannels,
  no,
  type Answer,
  type Arguments,
  type SlackChannelsOptions,
  type SlackMessage,
} from './slack-channels.ts'

export type { SlackMessage } from './slack-channels.ts'

export interface SlackServerOptions extends SlackChannelsOptions {
  /** By default one that is free. */
  port?: number
  /** Tokens that are valid; by default every one that looks like a bot's. */
  tokens?: readonly string[]
}

export interface SlackRequest {
  method: string
  /** When its body was there, milliseconds since the epoch. */
  at: number
  arguments: Readonly<Record<string, unknown>>
}

/** How a call goes wrong. */
export type Fault =
  /** `{ok: false, error}` with status 200: Slack's usual no. */
  | { kind: 'error'; error: string; more?: Readonly<Record<string, unknown>> }
  /** 429, with the header as given or without one. */
  | { kind: 'rate_limited'; retryAfter?: string | number }
  | { kind: 'status'; status: number; headers?: Readonly<Record<string, string>>; body?: string }
  /** The usual answer, after a while. */
  | { kind: 'slow'; ms: number }
  /** The request is read and never answered. */
  | { kind: 'silent' }
  /** The connection is closed instead of an answer. */
  | { kind: 'hang_up' }
  /** The message is posted and the connection is closed within the answer. */
  | { kind: 'cut_short' }

export interface SlackServer {
  /** Base of the Web API, with its trailing slash. */
  url: string
  /** What was posted and is not deleted, in order, as it reads now. */
  messages(): SlackMessage[]
  /** Deletes a message, as a person would. */
  remove(message: Pick<SlackMessage, 'channel' | 'ts'>): void
  /** Every call, also those that were refused. */
  requests(): SlackRequest[]
  /** The next `times` calls (default 1) fail like this; after what was asked for before. */
  respond(fault: Fault, times?: number): void
  /** Forgets the faults that are still to come. */
  recover(): void
  close(): Promise<void>
}

const maxBodyBytes = 1_048_576

export async function startSlackServer(options: SlackServerOptions = {}): Promise<SlackServer> {
  const { port = 0, tokens, now = Date.now } = options
  const channels = createSlackChannels(options)
  const requests: SlackRequest[] = []
  const faults: { fault: Fault; times: number }[] = []

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = /^\/api\/([A-Za-z.]+)$/.exec(request.url ?? '')?.[1]
    if (method === undefined || request.method !== 'POST') return send(response, 404, {}, 'not found')
    const input = parseArguments(request, await readBody(request))
    requests.push({ method, at: now(), arguments: input })
    const fault = nextFault()
    if (fault === undefined) return answer(response, method, request, input)
    switch (fault.kind) {
      case 'error':
        return sendJson(response, { ok: false, error: fault.error, ...fault.more })
      case 'rate_limited':
        return sendRateLimited(response, fault.retryAfter)
      case 'status':
        return send(response, fault.status, fault.headers ?? {}, fault.body ?? '')
      case 'slow':
        setTimeout(() => answer(response, method, request, input), fault.ms).unref()
        return
      case 'silent':
        return
      case 'hang_up':
        response.destroy()
        return
      case 'cut_short':
        call(method, request, input)
        response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': 1_000 })
        response.write('{"ok":tr', () => response.destroy())
    }
  }

  function nextFault(): Fault | undefined {
    const next = faults[0]
    if (next === undefined) return undefined
    next.times -= 1
    if (next.times <= 0) faults.shift()
    return next.fault
  }

  function answer(response: ServerResponse, method: string, request: IncomingMessage, input: Arguments): void {
    const result = call(method, request, input)
    if (result.limitedFor !== undefined) return sendRateLimited(response, result.limitedFor)
    sendJson(response, result.json)
  }

  function call(method: string, request: IncomingMessage, input: Arguments): Answer {
    const token = tokenOf(request, input)
    if (token === undefined) return no('not_authed')
    if (!isValid(token, tokens)) return no('invalid_auth')
    if (method === 'auth.test') return { json: identity }
    if (method === 'chat.postMessage') return channels.post(token, input)
    if (method === 'chat.update') return channels.update(token, input)
    return no('unknown_method', { req_method: method })
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })

  return {
    url: `http://127.0.0.1:${portOf(server.address())}/api/`,
    messages: () => channels.messages(),
    remove: (message) => channels.remove(message),
    requests: () => [...requests],
    respond: (fault, times = 1) => void faults.push({ fault, times }),
    recover: () => void faults.splice(0),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()))
        server.closeAllConnections()
      }),
  }
}

const identity = {
  ok: true,
  url: 'https://example.slack.com/',
  team: 'Example',
  user: 'relay',
  team_id: 'T0000000001',
  user_id: 'U0000000001',
  bot_id: 'B0000000001',
}

function isValid(token: string, tokens: readonly string[] | undefined): boolean {
  return tokens === undefined ? token.startsWith('xoxb-') : tokens.includes(token)
}

/** The header wins over the argument, which only a form may carry. */
function tokenOf(request: IncomingMessage, input: Arguments): string | undefined {
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  return bearer ?? (typeof input.token === 'string' ? input.token : undefined)
}

/** A JSON body, or a form whose structured arguments are JSON. */
function parseArguments(request: IncomingMessage, body: string): Record<string, unknown> {
  if (request.headers['content-type']?.startsWith('application/json')) {
    const parsed = parseJson(body)
    return isMap(parsed) ? parsed : {}
  }
  const form = Object.fromEntries(new URLSearchParams(body))
  const structured = Object.entries(form).map(([key, value]): [string, unknown] => [
    key,
    key === 'blocks' || key === 'metadata' ? parseJson(value) : value,
  ])
  return Object.fromEntries(structured)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue
    bytes += chunk.length
    if (bytes > maxBodyBytes) throw new Error('the body is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function sendRateLimited(response: ServerResponse, retryAfter: string | number | undefined): void {
  const headers = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
  send(response, 429, headers, '{"ok":false,"error":"ratelimited"}')
}

function sendJson(response: ServerResponse, value: unknown): void {
  send(response, 200, { 'content-type': 'application/json; charset=utf-8' }, JSON.stringify(value))
}

function send(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>, body: string): void {
  response.writeHead(status, headers)
  response.end(body)
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
