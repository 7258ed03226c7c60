/** The relay's own log: stderr, JSON lines, or readable coloured lines on a terminal. */
import { destination, pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export function createLog({ level = 'info', terminal = process.stderr.isTTY }: { level?: string; terminal?: boolean } = {}): Log {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  if (!terminal) return pino(options, patientStderr())
  return pino(
    options,
    pretty({
      destination: 2,
      sync: true,
      colorize: !('NO_COLOR' in process.env),
      translateTime: 'SYS:HH:MM:ss',
      ignore: 'pid,hostname',
      singleLine: true,
    }),
  )
}

/** What waits for a reader of stderr at most, in bytes: some ten thousand lines. What comes after that is not kept. */
const maxWaitingBytes = 4 * 1_048_576

/** A process that ends does not wait longer than this for its reader, in milliseconds. */
export const logWaitMs = 1_000

/** Whoever reads the log, however slowly, holds up nobody else: a write that the pipe has no room for is tried again later. */
function patientStderr(): DestinationStream {
  let waitUntil = Infinity
  let dropped = 0
  const stderr = destination({
    fd: 2,
    sync: false,
    maxLength: maxWaitingBytes,
    retryEAGAIN: () => performance.now() < waitUntil,
  })
  stderr.on('drop', () => dropped++)
  stderr.on('drain', () => {
    if (dropped === 0) return
    const line = {
      level: 'warn',
      time: new Date(),
      lines: dropped,
      msg: 'lines of the log are missing here: stderr was not read',
    }
    dropped = 0
    stderr.write(`${JSON.stringify(line)}\n`)
  })
  // Called when the process ends.
  const flush = stderr.flushSync.bind(stderr)
  stderr.flushSync = () => {
    waitUntil = performance.now() + logWaitMs
    try {
      flush()
    } catch {
      // Nobody reads it.
    }
  }
  return stderr
}
