/** `gemini-relay explain`: of each rule whether it wants an event, or the first reason why not, and what it would send. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../setup/cli.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { spawnRelay } from '../setup/relay-process.ts'
import { eventually, post, secret } from '../setup/sender.ts'

const yaml = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL:-embedded}" }
sources: { gemini: { path: /webhooks/gemini, static: { secrets: ["${secret}"] } } }
sinks:
  ops: { type: slack, token: xoxb-very-private, channel: C0123456789 }
  stream: { type: kafka, brokers: ["127.0.0.1:1"], topic: gemini.events }
  jobs: { type: table, table: jobs, key: [job_id], columns: { job_id: event.subject, errors: event.data.error_count } }
  forward: { type: http, url: "https://user:password@jobs.example.com/hook?key=private", secret: "${secret}" }
  trace: { type: log }
rules:
  - { name: failures, when: { type: [batch.failed] }, to: [{ sink: ops, text: ":x: {{ event.subject }}: {{ event.data.error_message }}" }, stream, forward, trace] }
  - { name: videos, when: { type: video.* }, to: [trace] }
  - { name: many, if: "event.data.error_count > 10", to: [trace] }
  - { name: odd, if: "event.data.id > 3", to: [trace] }
  - { name: rows, to: [jobs] }
  - { name: either, when: { $or: [{ source: other }, { data: { id: [{ prefix: x }] } }] }, to: [trace] }
`
const event = {
  type: 'batch.failed',
  version: 'v1',
  timestamp: '2026-11-21T10:00:00Z',
  data: { id: 'batches/1', error_message: '<b>' },
}

let directory: string
let database: TestDatabase
let [config, file] = ['', '']

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gemini-relay-explain-'))
  config = join(directory, 'relay.yaml')
  file = join(directory, 'event.json')
  writeFileSync(config, yaml)
  writeFileSync(file, JSON.stringify(event))
  database = await createTestDatabase()
})
afterAll(async () => {
  await database?.drop()
  rmSync(directory, { recursive: true, force: true })
})

describe('gemini-relay explain', () => {
  it('says of each rule what it makes of an event from a file, without anything that runs', async () => {
    const { code, stdout } = await cli(['explain', file, '--config', config, '--json'])
    expect(code).toBe(0)
    const { rules } = JSON.parse(stdout)
    const headers = { 'relay-rule': 'failures', 'webhook-id': 'msg_dry_run' }
    expect(rules).toEqual([
      {
        rule: 'failures',
        outcome: 'matched',
        deliveries: [
          { sink: 'ops', sends: { channel: 'C0123456789', text: ':x: batches/1: &lt;b&gt;' } },
          {
            sink: 'stream',
            sends: expect.objectContaining({ topic: 'gemini.events', key: 'batches/1', value: expect.objectContaining(event) }),
          },
          {
            sink: 'forward',
            sends: { url: 'https://jobs.example.com/hook', headers: expect.objectContaining(headers), body: event },
          },
          { sink: 'trace', sends: { line: expect.objectContaining({ type: 'batch.failed', rule: 'failures' }) } },
        ],
      },
      { rule: 'videos', outcome: 'no_match', mismatch: { path: 'type', wanted: 'video.*', seen: 'batch.failed' } },
      {
        rule: 'many',
        outcome: 'condition_false',
        condition: 'event.data.error_count > 10',
        seen: {},
        missing: ['event.data.error_count'],
      },
      { rule: 'odd', outcome: 'condition_error', condition: 'event.data.id > 3', message: expect.any(String), sinks: ['trace'] },
      {
        rule: 'rows',
        outcome: 'matched',
        deliveries: [{ sink: 'jobs', fails: { code: 'expression_error', message: expect.stringContaining('error_count') } }],
      },
      {
        rule: 'either',
        outcome: 'no_match',
        mismatch: {
          path: '$or',
          alternatives: [
            { path: 'source', wanted: 'other', seen: 'gemini' },
            { path: 'data.id', wanted: [{ prefix: 'x' }], seen: 'batches/1' },
          ],
        },
      },
    ])
    for (const hidden of ['xoxb-very-private', 'password', 'key=private', secret]) expect(stdout).not.toContain(hidden)
  })

  it('says so for people too', async () => {
    const { stdout } = await cli(['explain', file, '--config', config])
    const lines = stdout.split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        'batch.failed batches/1 (source gemini)',
        '✓ failures',
        '      text: ":x: batches/1: &lt;b&gt;"',
        '✗ videos: type is "batch.failed", wanted "video.*"',
        '✗ many: the condition is false: event.data.error_count > 10',
        '    event.data.error_count is missing',
        expect.stringMatching(/^! odd: its condition fails, so what it feeds is dead: /),
        expect.stringMatching(/^ {4}jobs: cannot be rendered: expression_error: /),
        '✗ either: none of $or: source is "gemini", wanted "other"; data.id is "batches/1", wanted [{"prefix":"x"}]',
      ]),
    )
  })

  it('finds a stored event by its webhook-id or its number, and changes nothing of it', async () => {
    const env = { DATABASE_URL: database.url }
    // It is explained by the configuration of today, whatever stored it.
    const relay = await spawnRelay({ yaml: `${yaml.slice(0, yaml.indexOf('sinks:'))}sinks: { trace: { type: log } }`, env })
    await post(`${relay.url}/webhooks/gemini`, { id: 'msg_kept', body: JSON.stringify(event) })
    const byId = await eventually(
      () => cli(['explain', 'msg_kept', '--config', config, '--json'], env),
      ({ code }) => code === 0,
    )
    expect(JSON.parse(byId.stdout).event).toMatchObject({ webhook_id: 'msg_kept', subject: 'batches/1' })
    const byNumber = await cli(['explain', '1', '--config', config, '--json'], env)
    expect(JSON.parse(byNumber.stdout)).toEqual(JSON.parse(byId.stdout))
    const unknown = await cli(['explain', 'msg_nothing', '--config', config], env)
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringMatching(/no stored event msg_nothing/)])
    await relay.stop()
  })

  it('explains an event that nests more deeply than the stack allows', async () => {
    const deep = join(directory, 'deep.json')
    writeFileSync(deep, `{ "type": "batch.failed", "data": ${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)} }`)
    expect((await cli(['explain', deep, '--config', config])).stdout).toContain('✓ failures')
    expect((await cli(['explain', deep, '--config', config, '--json'])).stdout).toContain('"outcome":"matched"')
  })

  it('says what is no event', async () => {
    writeFileSync(join(directory, 'none.json'), '{')
    const broken = await cli(['explain', join(directory, 'none.json'), '--config', config])
    expect([broken.code, broken.stderr]).toEqual([2, expect.stringMatching(/holds no event: .*\n.*envelope/)])
    expect((await cli(['explain', './nowhere.json', '--config', config])).code).toBe(2)
  })
})
