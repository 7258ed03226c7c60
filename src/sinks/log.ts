/** One JSON line a delivery on standard output: for a first look, and for hosts that collect it. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { messageOf } from '../errors.ts'
import type { LeasedDelivery, Outcome } from '../types.ts'
import { stringifyJson } from './deep-json.ts'
import { oneByOne } from './one-by-one.ts'
import { failed, type Rendering, type Sink } from './sink.ts'

interface LogSinkOptions {
  name: string
  /** Where the lines go; by default standard output. It is never ended. */
  write?: Writable
}

export function createLogSink({ name, write = process.stdout }: LogSinkOptions): Sink {
  async function attempt(delivery: LeasedDelivery, signal: AbortSignal): Promise<Outcome> {
    try {
      // A reader that has stalled gets no further lines to keep in memory, however often this is retried.
      // (Standard output that lost its reader still says `writableNeedDrain`, with nothing left that could drain.)
      if (write.writableNeedDrain && write.writableLength > 0) await once(write, 'drain', { signal })
      await writeLine(write, `${lineOf(delivery)}\n`, signal)
      return { status: 'delivered' }
    } catch (error) {
      if (signal.aborted) return failed('timeout', `sink ${name}: nobody reads the output`)
      return failed('unavailable', `sink ${name}: the output cannot be written: ${messageOf(error)}`)
    }
  }

  return {
    async start() {
      write.on('error', ignore)
    },
    deliver: (batch, signal) => oneByOne(batch, signal, { laneOf: () => name, attempt: (delivery) => attempt(delivery, signal) }),
    retarget: () => () => {},
    async close() {
      // A line that is still on its way can yet fail.
      if (write.writableLength === 0) write.off('error', ignore)
    },
  }
}

/** A stream without a listener throws its errors into the process; here they come back through the callback of `write`. */
function ignore(): void {}

/** JSON, without its line break. */
export function lineOf({ id, rule, sink, replay, stored: { event } }: Rendering): string {
  const { webhook_id, source, type, subject } = event
  return stringifyJson({ webhook_id, source, type, subject, rule, sink, delivery: id, replay, event })
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
