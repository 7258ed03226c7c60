/** The relay's own log: stderr, JSON lines, or readable coloured lines on a terminal. */
import { pino, type Logger } from 'pino'
import pretty from 'pino-pretty'
import { patientStderr } from './patient-stderr.ts'

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
