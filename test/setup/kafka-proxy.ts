/** A TCP proxy between a Kafka client and a broker: passes bytes, holds them back, or cuts the connection. */
import { createServer, connect, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'

export interface KafkaProxy {
  port: number
  /** Nothing passes any more, in either direction; connections stay open. Resolves when the client's next bytes are held back. */
  stall(): Promise<void>
  /** Ends every connection and refuses new ones. */
  stop(): Promise<void>
}

export interface KafkaProxyOptions {
  /** The broker's port. */
  upstreamPort: number
  /** 0: any free one. */
  port?: number
  /** Speaks TLS to the client, plain to the broker. */
  tls?: TlsOptions
  /** Cuts the connection when the client sends a request with this api key. */
  cutAt?: number
}

export async function startKafkaProxy({ upstreamPort, port = 0, tls, cutAt }: KafkaProxyOptions): Promise<KafkaProxy> {
  const sockets = new Set<Socket>()
  let stalled = false
  let held: (() => void) | undefined
  const server = tls ? createTlsServer(tls, pass) : createServer(pass)

  function pass(client: Socket): void {
    const broker = connect({ host: '127.0.0.1', port: upstreamPort })
    for (const socket of [client, broker]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        broker.destroy()
      })
    }
    client.on('data', (bytes) => {
      // Clients that await each answer, as when they authenticate, send one request at a time: length, then api key.
      if (bytes.length >= 6 && bytes.readInt16BE(4) === cutAt) client.destroy()
      else if (stalled) held?.()
      else broker.write(bytes)
    })
    broker.on('data', (bytes) => {
      if (!stalled) client.write(bytes)
    })
  }

  server.on('tlsClientError', () => undefined)
  server.listen(port, '127.0.0.1')
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject))
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : port,
    stall: () => {
      stalled = true
      return new Promise((resolve) => {
        held = resolve
      })
    },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
