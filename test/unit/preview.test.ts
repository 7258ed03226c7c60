/** What `explain` and `test` show of what rules say anew; the rest is in the cases of config/examples. */
import { describe, expect, it } from 'vitest'
import { configSchema } from '../../src/config/schema.ts'
import { createPreviews } from '../../src/sinks/preview.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'

const config = configSchema.parse({
  sources: {},
  sinks: {
    forward: { type: 'http', url: 'https://jobs.example.com/hook?key=x', value: 'event.subject', headers: { 'x-a': 'a' } },
    stream: { type: 'kafka', brokers: ['b:9092'], topic: 'events' },
    jobs: { type: 'table', table: 'jobs', key: ['id'], columns: { id: 'event.subject', state: 'event.type' } },
    trace: { type: 'log' },
  },
  rules: [
    { name: 'plain', to: ['forward', 'stream', 'jobs', 'trace'] },
    {
      name: 'own',
      to: [
        { sink: 'forward', value: { type: 'event.type' }, headers: { 'X-A': null, 'x-b': '{{ event.source }}' } },
        { sink: 'stream', topic: { value: 'event.source + ".x"' }, key: 'event.type', value: ['event.subject'] },
        { sink: 'jobs', columns: { state: '"own"' } },
        { sink: 'trace', value: 'event.subject' },
      ],
    },
    {
      name: 'bad',
      to: [
        { sink: 'stream', topic: { value: '"a b"' } },
        { sink: 'forward', headers: { 'x-b': '{{ event.data.s }}' } },
      ],
    },
  ],
})
const previews = createPreviews(config)

function previewOf(rule: string, sink: string, data: unknown = {}) {
  return previews.of(leasedDelivery({ rule, sink, event: { subject: 'b1', data } }))
}

describe('a preview', () => {
  it('shows the shaped body and the headers of http', () => {
    expect(previewOf('plain', 'forward')).toMatchObject({
      sends: { url: 'https://jobs.example.com/hook', headers: { 'x-a': 'a' }, body: 'b1' },
    })
    const own = previewOf('own', 'forward')
    expect(own).toMatchObject({ sends: { headers: { 'x-b': 'gemini' }, body: { type: 'batch.failed' } } })
    expect(own).not.toHaveProperty(['sends', 'headers', 'x-a'])
  })

  it('shows the topic, key and value of a record', () => {
    expect(previewOf('plain', 'stream')).toMatchObject({ sends: { topic: 'events', key: 'b1', value: { source: 'gemini' } } })
    expect(previewOf('own', 'stream')).toMatchObject({ sends: { topic: 'gemini.x', key: 'batch.failed', value: ['b1'] } })
  })

  it("shows a row with the rule's columns", () => {
    expect(previewOf('plain', 'jobs')).toEqual({ sends: { table: 'jobs', row: { id: 'b1', state: 'batch.failed' } } })
    expect(previewOf('own', 'jobs')).toEqual({ sends: { table: 'jobs', row: { id: 'b1', state: 'own' } } })
  })

  it('shows the value of a line in place of the event', () => {
    expect(previewOf('plain', 'trace')).toMatchObject({ sends: { line: { event: { subject: 'b1' } } } })
    expect(previewOf('own', 'trace')).toMatchObject({ sends: { line: { value: 'b1' } } })
    expect(previewOf('own', 'trace')).not.toHaveProperty(['sends', 'line', 'event'])
  })

  it('says what fails', () => {
    expect(previewOf('bad', 'stream')).toMatchObject({
      fails: { code: 'expression_error', message: expect.stringContaining('"a b"') },
    })
    expect(previewOf('bad', 'forward', { s: 'a\nb' })).toMatchObject({ fails: { code: 'template_error' } })
  })
})
