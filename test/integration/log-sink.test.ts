import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { createLogSink } from '../../src/sinks/log.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'
import { sinkConfig, targetsOf } from '../sinks/config.ts'
import { sinkConformance } from '../sinks/conformance.ts'

const never = new AbortController().signal

/** An output whose reader can stop, and that can be broken as standard output is: writes fail, and it stays open. */
class Output extends Writable {
  text = ''
  broken = false
  #held: (() => void) | undefined
  #stopped = false

  constructor() {
    super({ highWaterMark: 64 })
  }

  override write(chunk: string, ...rest: [callback?: unknown] | [encoding?: unknown, callback?: unknown]): boolean {
    const callback = rest.find((argument) => typeof argument === 'function')
    if (!this.broken) return super.write(chunk, (error) => callback?.(error))
    queueMicrotask(() => callback?.(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })))
    return true
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    const take = () => {
      this.text += chunk.toString('utf8')
      callback()
    }
    if (this.#stopped) this.#held = take
    else take()
  }

  stop(): void {
    this.#stopped = true
  }

  resume(): void {
    this.#stopped = false
    this.#held?.()
    this.#held = undefined
  }

  lines(): unknown[] {
    const lines = this.text.split('\n')
    if (lines.pop() !== '') throw new Error('the last line has no end')
    return lines.map((line) => JSON.parse(line))
  }
}

function sinkInto(write: Writable, config: Record<string, unknown> = {}, rules?: Record<string, Record<string, unknown>>) {
  const log = pino({ level: 'silent' })
  return createLogSink({ name: 'trace', config: sinkConfig('log', config), targets: targetsOf('trace', rules), log, write })
}

sinkConformance('log', {
  neverLimits: 'an output has no rate',
  neverRefuses: 'an output takes every line',
  async make() {
    const output = new Output()
    return {
      sink: sinkInto(output),
      delivery: (n) => leasedDelivery({ id: String(n), sink: 'trace', event: { webhook_id: `msg_${n}` } }),
      received: async () => output.lines().map((line) => ({ identity: JSON.stringify(line) })),
      failRetryably: () => {
        output.broken = true
      },
      stall: () => output.stop(),
      recover: () => {
        output.broken = false
        output.resume()
      },
      dispose: () => {
        output.destroy()
      },
    }
  },
})

describe('the log sink', () => {
  test('writes one line for each delivery, with the event and where it came from', async () => {
    const output = new Output()
    const delivery = leasedDelivery({
      id: '42',
      rule: 'everything',
      sink: 'trace',
      replay: 1,
      event: { webhook_id: 'msg_1', data: { text: 'a\nb' } },
    })
    await sinkInto(output).deliver([delivery], never)
    expect(output.lines()).toEqual([
      {
        webhook_id: 'msg_1',
        source: 'gemini',
        type: 'batch.failed',
        subject: 'batches/b1',
        rule: 'everything',
        sink: 'trace',
        delivery: '42',
        replay: 1,
        event: delivery.stored.event,
      },
    ])
  })

  test('writes what `value` makes in place of the event, and that of the rule before that of the sink', async () => {
    const output = new Output()
    const value = { job: 'event.subject', code: 'event.data.error_code' }
    const sink = sinkInto(output, { value }, { everything: {}, own: { value: 'event.webhook_id' } })
    const batch = [leasedDelivery(), leasedDelivery({ rule: 'own', event: { webhook_id: 'msg_1' } })]
    expect(await sink.deliver(batch, never)).toEqual([{ status: 'delivered' }, { status: 'delivered' }])
    const [first, second] = output.lines()
    expect(first).toMatchObject({ rule: 'everything', value: { job: 'batches/b1', code: 13 } })
    expect(first).not.toHaveProperty('event')
    expect(second).toMatchObject({ rule: 'own', value: 'msg_1' })
  })

  test('ends a delivery whose value the event lacks, and writes the others', async () => {
    const output = new Output()
    const sink = sinkInto(output, { value: { code: 'event.data.error_code' } })
    const outcomes = await sink.deliver([leasedDelivery({ event: { data: {} } }), leasedDelivery()], never)
    expect(outcomes).toMatchObject([
      { code: 'expression_error', message: expect.stringContaining('sink trace: value.code: ') },
      { status: 'delivered' },
    ])
    expect(output.lines()).toHaveLength(1)
  })

  test('writes an event that is nested deeper than the stack', async () => {
    const depth = 100_000
    const data: unknown = JSON.parse(`${'[{"a":'.repeat(depth)}"ö\\ud800"${'},1]'.repeat(depth)}`)
    const output = new Output()
    const batch = [
      leasedDelivery({ event: { data, user_metadata: { z: 1, list: [], none: null, map: {} } }, body: 'deep' }),
      leasedDelivery(),
    ]
    expect(await sinkInto(output).deliver(batch, never)).toEqual([{ status: 'delivered' }, { status: 'delivered' }])
    expect(output.lines()).toHaveLength(2)
    expect(output.text).toContain(`"data":${'[{"a":'.repeat(depth)}"ö\\ud800"${'},1]'.repeat(depth)},`)
    expect(output.text).toContain('"user_metadata":{"z":1,"list":[],"none":null,"map":{}}')
  })

  test('keeps no more lines in memory while nobody reads, however often it is tried', async () => {
    const output = new Output()
    const sink = sinkInto(output)
    output.stop()
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(await sink.deliver([leasedDelivery()], AbortSignal.timeout(20))).toMatchObject([{ code: 'timeout' }])
    }
    expect(output.writableLength).toBeLessThan(1_000)
    output.resume()
    expect(await sink.deliver([leasedDelivery()], never)).toEqual([{ status: 'delivered' }])
    expect(output.lines()).toHaveLength(2)
  })

  test('survives a reader that goes away', async () => {
    const reader = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
    const sink = sinkInto(reader.stdin)
    await sink.start()
    expect(await sink.deliver([leasedDelivery()], never)).toEqual([{ status: 'delivered' }])
    reader.kill('SIGKILL')
    await once(reader, 'exit')
    expect(await sink.deliver([leasedDelivery(), leasedDelivery()], never)).toMatchObject([
      { code: 'unavailable' },
      { code: 'unavailable' },
    ])
    await sink.close()
  })

  test('hears of a broken output itself, so that the process does not', async () => {
    const output = new Writable({ write: (_chunk, _encoding, callback) => callback(new Error('write EPIPE')) })
    const sink = sinkInto(output)
    await sink.start()
    const [outcome] = await sink.deliver([leasedDelivery()], never)
    expect(outcome).toMatchObject({ code: 'unavailable', message: expect.stringContaining('write EPIPE') })
    await new Promise((resolve) => setImmediate(resolve))
    expect(output.errored).toBeInstanceOf(Error)
    await sink.close()
  })
})
