/** One JSON line a delivery on standard output: for a first look, and for hosts that collect it. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { ExpressionError } from '../route/expression.ts'
import type { LeasedDelivery, Outcome } from '../types.ts'
import { byRule, type ByRule } from './by-rule.ts'
import { stringifyJson } from './deep-json.ts'
import { oneByOne } from './one-by-one.ts'
import { compileSaid } from './retarget.ts'
import { compileRendering } from './shaped-value.ts'
import { failed, type Rendering, type Sink } from './sink.ts'

interface LogSinkOptions {
  name: string
  config: SinkConfigOf<'log'>
  /** The rules that feed this sink, with what they say about it. */
  targets: readonly Target[]
  log: Log
  /** Where the lines go; by default standard output. It is never ended. */
  write?: Writable
}

export function createLogSink({ name, config, targets, write = process.stdout }: LogSinkOptions): Sink {
  const said = compileSaid(targets, (all) => compileLines(config, all))

  async function attempt(lines: ByRule<RenderLine>, delivery: LeasedDelivery, signal: AbortSignal): Promise<Outcome> {
    const lineOf = lines.get(delivery.rule)
    if (lineOf === undefined) return failed('internal', `rule ${delivery.rule} does not feed the sink ${name}`)
    try {
      const line = `${lineOf(delivery)}\n`
      // A reader that has stalled gets no further lines to keep in memory, however often this is retried.
      // (Standard output that lost its reader still says `writableNeedDrain`, with nothing left that could drain.)
      if (write.writableNeedDrain && write.writableLength > 0) await once(write, 'drain', { signal })
      await writeLine(write, line, signal)
      return { status: 'delivered' }
    } catch (error) {
      if (error instanceof ExpressionError) return failed('expression_error', `sink ${name}: ${error.message}`)
      if (signal.aborted) return failed('timeout', `sink ${name}: nobody reads the output`)
      return failed('unavailable', `sink ${name}: the output cannot be written: ${messageOf(error)}`)
    }
  }

  return {
    async start() {
      write.on('error', ignore)
    },
    deliver(batch, signal) {
      const lines = said.now()
      return oneByOne(batch, signal, { laneOf: () => name, attempt: (delivery) => attempt(lines, delivery, signal) })
    },
    retarget: said.retarget,
    async close() {
      // A line that is still on its way can yet fail.
      if (write.writableLength === 0) write.off('error', ignore)
    },
  }
}

/** A stream without a listener throws its errors into the process; here they come back through the callback of `write`. */
function ignore(): void {}

/** @throws ExpressionError when a `value` fails on the event */
type RenderLine = (delivery: Rendering) => string

/** JSON, without its line break. What `value` makes takes the place of `event`. */
export function compileLines(config: SinkConfigOf<'log'>, targets: readonly Target[]): ByRule<RenderLine> {
  return byRule(targets, (said) => {
    const value = compileRendering(config, said)
    return (delivery) => {
      const { id, rule, sink, replay, stored } = delivery
      const { webhook_id, source, type, subject } = stored.event
      const about = { webhook_id, source, type, subject, rule, sink, delivery: id, replay }
      return stringifyJson(value === undefined ? { ...about, event: stored.event } : { ...about, value: value(delivery) })
    }
  })
}

function writeLine(stream: Writable, line: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error('aborted'))
    signal.addEventListener('abort', abort, { once: true })
    stream.write(line, (error) => {
      signal.removeEventListener('abort', abort)
      if (error) reject(error)
      else resolve()
    })
  })
}
