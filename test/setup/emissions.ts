/** Runs the built relay and keeps everything that it says: what goes to its two streams and what it answers. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Emission } from '../fixtures/spellings.ts'
import { eventually } from './sender.ts'
import { binary } from './relay-process.ts'

export interface Ran {
  code: number
  output: string
}

export interface Serving {
  /** Without a trailing slash. */
  url: string
  stop(): Promise<void>
}

export interface Emissions {
  /** A command, until it ends. */
  run(args: readonly string[], env?: Record<string, string>): Promise<Ran>
  /** `serve`, once it is ready. */
  serve(args: readonly string[], env: Record<string, string>): Promise<Serving>
  /** What it said elsewhere. */
  note(where: string, text: string): void
  all(): Emission[]
  /** Ends what is still running, of a test that failed half-way. */
  close(): Promise<void>
}

export function createEmissions(): Emissions {
  const noted: Emission[] = []
  const streams: { where: string; text: () => string }[] = []
  const running = new Map<ChildProcess, Promise<unknown>>()

  function start(args: readonly string[], env: Record<string, string>) {
    const child = spawn(process.execPath, [binary, ...args], {
      env: { PATH: process.env.PATH, LOG_LEVEL: 'debug', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    streams.push({ where: args.join(' '), text: () => output })
    const ended = once(child, 'close').then(([code]): number => Number(code))
    running.set(
      child,
      ended.finally(() => running.delete(child)),
    )
    return { child, output: () => output, ended }
  }

  return {
    async run(args, env = {}) {
      const { output, ended } = start(args, env)
      return { code: await ended, output: output() }
    },
    async serve(args, env) {
      const { child, output, ended } = start(['serve', ...args], env)
      const ready = /"url":"http:\/\/[^"]*:(\d+)"[^\n]*gemini-relay is ready/
      await eventually(output, (text) => ready.test(text) || child.exitCode !== null)
      const [, port] = ready.exec(output()) ?? []
      if (port === undefined) throw new Error(`the relay ended: ${output()}`)
      return {
        url: `http://127.0.0.1:${port}`,
        async stop() {
          child.kill('SIGTERM')
          await ended
        },
      }
    },
    note: (where, text) => void noted.push({ where, text }),
    all: () => [...noted, ...streams.map(({ where, text }) => ({ where, text: text() }))],
    async close() {
      for (const child of running.keys()) child.kill('SIGKILL')
      await Promise.all(running.values())
    },
  }
}
