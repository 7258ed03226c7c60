/** A TCP proxy that does to the connections on one edge what networks do. */
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionFault } from './faults.ts'

export interface FaultProxy {
  port: number
  /** Faults that struck a connection so far. */
  strikes(): number
  /** Connections open at the moment, as the client's end sees it. */
  open(): number
  busy(): boolean
  /** Settles when the fault is over, or was ended by `heal`. One at a time. */
  strike(fault: ConnectionFault): Promise<void>
  heal(): void
  stop(): Promise<void>
}

/** Where to; undefined: nobody is there. */
export type Upstream = () => number | undefined

interface Connection {
  client: Socket
  server: Socket
  up: Direction
  down: Direction
}

/** One way of a connection: what was read and not yet passed on. */
interface Direction {
  name: 'up' | 'down'
  from: Socket
  to: Socket
  held: (Buffer | 'end')[]
  flushing: boolean
  /** Some of it got lost: nothing after that may pass, as TCP has no holes. */
  broken: boolean
}

/** A reader is asked to wait where so much has not been taken off our hands. */
const highWaterBytes = 1_048_576

/** How long a slow connection pauses between two pieces. */
const slowStepMs = 25

export async function startFaultProxy(upstream: Upstream, port = 0): Promise<FaultProxy> {
  const connections = new Set<Connection>()
  let current: { fault: ConnectionFault; struck: boolean; end: AbortController; left: number } | undefined
  let strikes = 0

  function struck(): void {
    if (current === undefined || current.struck) return
    current.struck = true
    strikes++
  }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const to = upstream()
    if (to === undefined) {
      client.resetAndDestroy()
      return
    }
    const outgoing = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true, noDelay: true })
    const connection: Connection = {
      client,
      server: outgoing,
      up: { name: 'up', from: client, to: outgoing, held: [], flushing: false, broken: false },
      down: { name: 'down', from: outgoing, to: client, held: [], flushing: false, broken: false },
    }
    connections.add(connection)
    for (const direction of [connection.up, connection.down]) watch(connection, direction)
    if (current?.fault.kind === 'reset') {
      struck()
      current.end.abort()
      reset(connection)
    }
  })

  function watch(connection: Connection, direction: Direction): void {
    const { from } = direction
    from.on('data', (chunk: Buffer) => {
      direction.held.push(chunk)
      if (heldBytes(direction) > highWaterBytes) from.pause()
      void flush(connection, direction)
    })
    from.once('end', () => hangUp(connection, direction))
    // What it said before it died is still on its way; nobody is left to hear the other side.
    from.once('error', () => hangUp(connection, direction))
    from.once('close', () => {
      hangUp(connection, direction)
      if (connection.client.destroyed && connection.server.destroyed) connections.delete(connection)
    })
  }

  function hangUp(connection: Connection, direction: Direction): void {
    if (direction.held.at(-1) !== 'end') direction.held.push('end')
    void flush(connection, direction)
  }

  async function flush(connection: Connection, direction: Direction): Promise<void> {
    if (direction.flushing) return
    direction.flushing = true
    while (direction.held.length > 0) {
      const fault = current?.fault
      if (fault?.kind === 'stall' && (fault.way === 'both' || direction.name === fault.way)) {
        struck()
        break
      }
      const next = direction.held.shift()
      if (next === undefined) break
      if (direction.broken) {
        if (next === 'end') reset(connection)
      } else if (next === 'end') finish(direction)
      else if (fault?.kind === 'half-open' && direction.name === 'down') lose(connection)
      else if (fault?.kind === 'cut' && fault.direction === direction.name) cutAt(connection, direction, next)
      else if (fault?.kind === 'slow') await drip(direction, next, fault.bytesPerSecond)
      else write(direction, next)
    }
    direction.flushing = false
  }

  function write({ from, to }: Direction, bytes: Buffer): void {
    if (to.destroyed || to.writableEnded) return
    if (to.write(bytes)) from.resume()
    else to.once('drain', () => from.resume())
  }

  /** The last bytes go out before the connection does. */
  function finish({ from, to }: Direction): void {
    if (from.destroyed) to.destroySoon()
    else to.end()
  }

  function lose(connection: Connection): void {
    struck()
    connection.down.broken = true
  }

  function cutAt(connection: Connection, direction: Direction, bytes: Buffer): void {
    // The byte has come by already, on another connection.
    if (current === undefined || current.left < 0) return write(direction, bytes)
    const passed = bytes.subarray(0, current.left)
    current.left -= bytes.length
    if (current.left >= 0) return write(direction, bytes)
    struck()
    current.end.abort()
    direction.broken = true
    if (passed.length > 0 && direction.to.writable) direction.to.write(passed, () => reset(connection))
    else reset(connection)
  }

  async function drip(direction: Direction, bytes: Buffer, bytesPerSecond: number): Promise<void> {
    struck()
    const piece = Math.max(1, Math.ceil((bytesPerSecond * slowStepMs) / 1_000))
    for (let at = 0; at < bytes.length; at += piece) {
      if (current?.fault.kind === 'slow') await sleep(slowStepMs)
      write(direction, bytes.subarray(at, at + piece))
    }
  }

  server.listen(port, '127.0.0.1')
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject))
  const address = server.address()

  return {
    port: address !== null && typeof address === 'object' ? address.port : port,
    strikes: () => strikes,
    open: () => [...connections].filter(({ client }) => !client.destroyed).length,
    busy: () => current !== undefined,
    async strike(fault) {
      if (current !== undefined) throw new Error('this edge has a fault already')
      const end = new AbortController()
      current = { fault, struck: false, end, left: fault.kind === 'cut' ? fault.afterBytes : 0 }
      if (fault.kind === 'reset') {
        const present = [...connections]
        if (present.length > 0) struck()
        for (const connection of present) reset(connection)
        if (present.length > 0) end.abort()
      }
      await sleep(fault.kind === 'reset' ? longestWaitMs : fault.ms, undefined, { signal: end.signal }).catch(() => {})
      current = undefined
      for (const connection of connections) {
        if (connection.up.broken || connection.down.broken) reset(connection)
        for (const direction of [connection.up, connection.down]) void flush(connection, direction)
      }
    },
    heal: () => current?.end.abort(),
    async stop() {
      current?.end.abort()
      const closed = new Promise((resolve) => server.close(resolve))
      for (const connection of connections) reset(connection)
      await closed
    },
  }
}

/** A reset waits so long for a connection to strike. */
const longestWaitMs = 5_000

function reset({ client, server }: Connection): void {
  for (const socket of [client, server]) {
    // One that is just saying goodbye cannot be reset: libuv refuses, and Node then never closes it (20.20).
    if (socket.connecting || socket.writableEnded) socket.destroy()
    else socket.resetAndDestroy()
  }
}

function heldBytes({ held }: Direction): number {
  return held.reduce((sum, piece) => sum + (piece === 'end' ? 0 : piece.length), 0)
}
