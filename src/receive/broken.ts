/** What never becomes a request, so that the app cannot answer it: bytes that are no HTTP, HTTP that says two things, and what comes too slowly. */
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { refusalStatus, type RefusalCode } from '../errors.ts'

export interface BrokenRequests {
  /** Called with the response of every request, so that one that breaks behind it waits for its turn. */
  note: (response: ServerResponse) => void
  /** Answers what broke after the requests before it on its connection were answered, and ends the connection. */
  answer: (error: NodeJS.ErrnoException, socket: Duplex) => void
}

/** @param lingerMs for the other side to close its end, once it was told */
export function createBrokenRequests(lingerMs: number): BrokenRequests {
  /** The last two of a connection: the last may be the one that breaks, in the middle of its body. */
  const responses = new WeakMap<Duplex, { last: ServerResponse; before: ServerResponse | undefined }>()
  const waiting = new WeakSet<Duplex>()

  /** The response that has to be sent first. Those before it have been, once it has: answers go out in order. */
  function pendingOn(socket: Duplex): ServerResponse | undefined {
    const { last, before } = responses.get(socket) ?? {}
    const previous = last?.req.complete === true ? last : before
    return previous?.writableFinished === false && !previous.destroyed ? previous : undefined
  }

  return {
    note(response) {
      const { socket } = response.req
      const known = responses.get(socket)
      if (known === undefined) responses.set(socket, { last: response, before: undefined })
      else {
        known.before = known.last
        known.last = response
      }
    },
    answer(error, socket) {
      if (waiting.has(socket)) return
      const pending = pendingOn(socket)
      if (pending === undefined) return end(error, socket, lingerMs)
      waiting.add(socket)
      pending.once('close', () => end(error, socket, lingerMs))
    },
  }
}

function end(error: NodeJS.ErrnoException, socket: Duplex, lingerMs: number): void {
  if (!socket.writable) return void socket.destroy()
  socket.end(answerTo(error.code))
  // Node watches a connection until it has reported it, and sockets stay open as long as the other side keeps its half open.
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(timer))
}

function answerTo(errorCode: string | undefined): string {
  if (errorCode === 'HPE_HEADER_OVERFLOW') return 'HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n'
  const isLate = errorCode === 'ERR_HTTP_REQUEST_TIMEOUT'
  const { status, body } = isLate
    ? refusalOf('request_timeout', 'the request came too slowly')
    : refusalOf('malformed_request', 'this is not a valid HTTP request')
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
}

/** The answer's status and body. */
export function refusalOf(code: RefusalCode, error: string): { status: number; body: string } {
  return { status: refusalStatus[code], body: JSON.stringify({ error, code }) }
}
