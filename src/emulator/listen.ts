/** The HTTP server around the app. */
import { createServer, type RequestListener } from 'node:http'
import { listenError } from '../listen-error.ts'

export interface Listening {
  /** As seen from this machine, without a trailing slash. */
  url: string
  /** Answers what is under way, for a second at most. */
  close: () => Promise<void>
}

const graceMs = 1_000

export async function listen(handler: RequestListener, host: string, port: number): Promise<Listening> {
  const server = createServer(handler)
  await new Promise<void>((resolve, reject) => {
    const hint = 'choose another one with --port, or 0 for any that is free'
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, hint)))
    server.listen({ host, port }, resolve)
  })
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${reachable(host)}:${bound}`,
    close: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), graceMs)
        server.close(() => {
          clearTimeout(timer)
          resolve()
        })
        server.closeIdleConnections()
      }),
  }
}

/** Where every address is listened to, this machine's own is one of them. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
