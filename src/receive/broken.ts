/** What never becomes a request, so that the app cannot answer it: bytes that are no HTTP, HTTP that says two things, and what comes too slowly. */
import { STATUS_CODES, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { refusalStatus, type RefusalCode } from '../errors.ts'

/**
 * Called with a connection and what broke on it: answers after the requests before it were answered, and ends the connection.
 *
 * @param lingerMs for the other side to close its end, once it was told
 * @param refused called with the code of each answer
 */
export function createBrokenAnswer(
  lingerMs: number,
  refused: (code: RefusalCode) => void,
): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  const waiting = new WeakSet<Duplex>()

  function answer(error: NodeJS.ErrnoException, socket: Duplex): void {
    const pending = pendingOn(socket)
    if (pending === undefined) return end(error, socket, lingerMs)
    pending.once('close', () => answer(error, socket))
  }

  return (error, socket) => {
    if (waiting.has(socket)) return
    waiting.add(socket)
    if (socket.writable) refused(codeOf(error))
    answer(error, socket)
  }
}

/**
 * The response that has to be sent first: the one that Node has given the connection to, unless its request is what broke. Node's own
 * name for it, as keeping every response in reach by ourselves cost a fifth of a request's CPU (measured): none would die young.
 */
function pendingOn(socket: Duplex): ServerResponse | undefined {
  const current: unknown = Reflect.get(socket, '_httpMessage')
  return current instanceof ServerResponse && current.req.complete && !current.destroyed ? current : undefined
}

function end(error: NodeJS.ErrnoException, socket: Duplex, lingerMs: number): void {
  if (!socket.writable) return void socket.destroy()
  socket.end(answerTo(codeOf(error)))
  // Node watches a connection until it has reported it, and sockets stay open as long as the other side keeps its half open.
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(timer))
}

function codeOf({ code }: NodeJS.ErrnoException): RefusalCode {
  if (code === 'HPE_HEADER_OVERFLOW') return 'too_many_headers'
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : 'malformed_request'
}

function answerTo(code: RefusalCode): string {
  if (code === 'too_many_headers') return 'HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n'
  const isLate = code === 'request_timeout'
  const { status, body } = refusalOf(code, isLate ? 'the request came too slowly' : 'this is not a valid HTTP request')
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
}

/** The answer's status and body. */
export function refusalOf(code: RefusalCode, error: string): { status: number; body: string } {
  return { status: refusalStatus[code], body: JSON.stringify({ error, code }) }
}
