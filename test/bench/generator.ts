/** The harness' end of the load generator, which is a process of its own. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Scheme } from './requests.ts'

export interface Prepare {
  port: number
  scheme: Scheme
  secret: string
  /** PEM. */
  keys: { ed25519?: string; rs256?: { kid: string; pem: string } }
  audience: string
  bodyBytes: number
  /** Requests signed ahead of the slice. */
  window: number
}

export interface Run {
  connections: number
  /** The slice ends after these, or when the window is used up. */
  seconds: number
  /** Requests fall due by the clock; without it each connection sends as soon as it has its answer. */
  perSecond?: number
  /** Stop sending while so many sent events are not at the sinks. */
  backlog?: number
  /** Sign on when the window is used up. */
  rolling?: boolean
  /** Tell of every answer, not of their quantiles alone. */
  record?: boolean
}

/** One answer with 200. */
export interface Answer {
  webhookId: string
  /** When it was there: milliseconds since the epoch, with a fraction. */
  at: number
  latencyMs: number
}

/** One stretch of load. Latencies are in milliseconds: from the write, or the moment it was due, to the whole answer. */
export interface Slice {
  seconds: number
  /** With 200. */
  answered: number
  perSecond: number
  /** Connections that broke while a request was under way. */
  failures: number
  /** How often each status came. */
  statuses: Record<string, number>
  p50: number
  p99: number
  max: number
  /** The generator's own CPU time a request, in microseconds: sending it and reading the answer. */
  sendMicros: number
  /** Signing it, before the slice. */
  signMicros: number
  /** Each second, events that were sent and not yet told of as delivered; of a run with `backlog`. */
  backlogs: number[]
  /** Of a run with `record`. */
  answers: Answer[]
}

export type Command =
  | { kind: 'prepare'; prepare: Prepare }
  | { kind: 'run'; run: Run }
  /** How many events are at the sinks so far, for a run with `backlog`. */
  | { kind: 'delivered'; count: number }
  /** Nothing more is sent in this run. */
  | { kind: 'end' }

export type Report = { kind: 'prepared' } | { kind: 'done'; slice: Slice } | { kind: 'failed'; error: string }

export interface Generator {
  slice(prepare: Prepare, run: Run): Promise<Slice>
  delivered(count: number): void
  /** Ends the slice under way before its time. */
  end(): void
  stop(): Promise<void>
}

export function startGenerator(): Generator {
  const child = fork(new URL('./generator-process.js', import.meta.url))

  async function ask(command: Command): Promise<Report> {
    child.send(command)
    const [report]: Report[] = await once(child, 'message')
    if (report === undefined || report.kind === 'failed') throw new Error(`the load generator failed: ${report?.error}`)
    return report
  }

  return {
    async slice(prepare, run) {
      await ask({ kind: 'prepare', prepare })
      const report = await ask({ kind: 'run', run })
      if (report.kind !== 'done') throw new Error(`the load generator answered ${report.kind}`)
      const { slice } = report
      const wrong = Object.entries(slice.statuses).filter(([status]) => status !== '200')
      if (wrong.length > 0 || slice.failures > 0)
        throw new Error(`not every request was answered with 200: ${JSON.stringify(slice.statuses)}, ${slice.failures} broken`)
      return slice
    },
    delivered: (count) => void child.send({ kind: 'delivered', count } satisfies Command),
    end: () => void child.send({ kind: 'end' } satisfies Command),
    async stop() {
      child.kill()
      await once(child, 'exit')
    },
  }
}
