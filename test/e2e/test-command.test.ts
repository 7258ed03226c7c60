import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cli } from '../setup/cli.ts'

let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gemini-relay-cases-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

const relay = `
sources: { gemini: { path: /hook, static: { secrets: ['\${GEMINI_WEBHOOK_SECRET}'] } } }
sinks:
  ops: { type: slack, token: '\${file:/run/secrets/slack_bot_token}', channel: '\${OPS_CHANNEL}' }
  stream: { type: kafka, brokers: ['\${KAFKA_BROKERS}'], topic: jobs }
  jobs:
    type: table
    table: jobs
    key: [id]
    url: 'postgres://relay:\${PASSWORD}@\${PGHOST}/jobs'
    columns: { id: event.subject, n: event.data.n, name: 'event.resource.?display_name.orValue("none")' }
  forward: { type: http, url: '\${FORWARD_URL}', secret: '\${FORWARD_SECRET}' }
rules:
  - name: failures
    when: { type: batch.failed, data: { n: [{ exists: true }] } }
    to: [{ sink: ops, text: ':x: {{ event.subject }} {{ event.data.why }}' }, { sink: jobs, enrich: gemini }]
  - name: large
    if: event.data.n > 10
    to: [stream]
  - name: bad
    when: { type: video.generated }
    if: event.data.n.size() > 1
    to: [forward]
`

function write(name: string, text: string): string {
  const file = join(dir, name)
  writeFileSync(file, text)
  return file
}

/** What the command prints, with this directory's name left out. */
async function test(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await cli(['test', ...args])
  return { code, stdout: stdout.replaceAll(`${dir}/`, ''), stderr: stderr.replaceAll(`${dir}/`, '') }
}

const passing = `
tests:
  - name: a failure is told and kept
    event: { type: batch.failed, data: { id: b1, n: 2, why: <quota> } }
    resource: { display_name: nightly }
    expect:
      - { rule: failures, sink: jobs, row: { id: b1, name: nightly } }
      - { rule: failures, sink: ops, text: ':x: b1 &lt;quota&gt;', channel: COPSCHANNEL }
  - name: a large one goes to the stream
    event: { type: batch.succeeded, data: { id: b2, n: 11 } }
    webhook_id: msg_2
    expect: [{ rule: large, sink: stream, topic: jobs, key: b2, headers: { webhook-id: msg_2 }, value: { data: { n: 11 } } }]
  - name: a condition that fails is dead
    event: { type: video.generated, data: { id: v1, n: 3 } }
    expect: [{ rule: bad, sink: forward, dead: condition_error }]
  - name: anything else goes nowhere
    event: no envelope
    expect: []
`

describe('gemini-relay test', () => {
  it('passes without any variable, secret or file that the configuration names', async () => {
    const config = write('relay.yaml', relay + passing)
    expect(await test(config)).toEqual({ code: 0, stdout: 'ok   relay.yaml: 4 cases\n', stderr: '' })
    expect(readdirSync(dir)).toEqual(['relay.yaml'])
  })

  it('names case, rule, sink, field, wanted and seen of what differs', async () => {
    const config = write('relay.yaml', relay.replace(':x:', ':no:') + passing)
    const { code, stdout } = await test(config)
    expect(code).toBe(1)
    expect(stdout).toBe(`FAIL relay.yaml: 1 of 4 cases
  ✗ a failure is told and kept (relay.yaml:${(relay + passing).split('\n').indexOf('  - name: a failure is told and kept') + 1})
    rule failures, sink ops, text
      wanted ":x: b1 &lt;quota&gt;"
      seen   ":no: b1 &lt;quota&gt;"
`)
  })
})
