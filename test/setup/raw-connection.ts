/** A client of the receiver that keeps no rule: it writes what it is told, and leaves its half open when the other side ends. */
import { connect } from 'node:net'
import { eventually } from './sender.ts'

export interface RawConnection {
  write: (data: string | Buffer) => void
  /** What has come so far. */
  received: () => string
  /** Settles with all that came once the other side says no more. */
  ended: Promise<string>
  /** Settles with what has come once it is more than `length` characters. */
  answered: (length?: number) => Promise<string>
  /** Reads nothing from now on, so that what comes fills the buffers of both sides. */
  stopReading: () => void
  /** Writes `data` every `ms`, whatever the other side says, until the connection is gone. */
  drip: (data: string, ms: number) => void
  destroy: () => void
}

export function rawConnection(port: number): RawConnection {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.on('error', () => {}) // a reset is one of the ways to be sent away
  const ended = new Promise<string>((resolve) => {
    const settle = () => resolve(text)
    socket.on('end', settle).on('close', settle)
  })
  return {
    write: (data) => void socket.write(data),
    received: () => text,
    ended,
    answered: (length = 0) =>
      eventually(
        () => text,
        (now) => now.length > length,
      ),
    stopReading: () => void socket.pause(),
    drip(data, ms) {
      const timer = setInterval(() => socket.write(data), ms)
      socket.on('close', () => clearInterval(timer))
    },
    destroy: () => void socket.destroy(),
  }
}
