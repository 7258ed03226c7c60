import { describe, expect, it } from 'vitest'
import { asJson, hasFailed, resultsOf } from '../../src/cli/test/results.ts'
import { textOf } from '../../src/cli/test/text.ts'
import { loadConfig } from '../../src/config/load.ts'
import { dryEvent } from '../../src/dry/event.ts'
import { createExplainer } from '../../src/dry/explain.ts'
import { casesRelay as relay } from '../fixtures/cases.ts'
import { useCaseFiles } from '../setup/case-files.ts'

const files = useCaseFiles()

/** What `gemini-relay test` would print, with this directory's name left out. */
function test(file: string): { code: number; stdout: string; json: unknown } {
  const results = resultsOf([file])
  const code = results.some((result) => hasFailed(result, { strict: false })) ? 1 : 0
  return { code, stdout: `${results.map(textOf).join('\n')}\n`.replaceAll(`${files.dir()}/`, ''), json: results.map(asJson) }
}

describe('a case', () => {
  it('says why a delivery was not made, and which was made instead', () => {
    const config = files.write('relay.yaml', relay)
    files.write(
      'relay.test.yaml',
      `- name: told
  event: { type: batch.expired, data: { id: b1, n: 3 } }
  expect: [{ rule: failures, sink: ops }, { rule: large, sink: stream }]
- name: nothing
  event: { type: interaction.failed, data: { id: i1, n: 30 } }
  expect: []
`,
    )
    const { code, stdout } = test(config)
    expect(code).toBe(1)
    expect(stdout.split('\n')).toEqual([
      'FAIL relay.yaml: 2 of 2 cases',
      '  ✗ told (relay.test.yaml:1)',
      '    rule failures, sink ops: expected, and not made: type is "batch.expired", wanted "batch.failed"',
      '    rule large, sink stream: expected, and not made: the condition is false: event.data.n > 10; event.data.n is 3',
      '  ✗ nothing (relay.test.yaml:4)',
      '    rule large, sink stream: made, and not expected',
      '      topic: "jobs"',
      '      key: "i1"',
      expect.stringMatching(/^ {6}headers: \{.*"webhook-id":"msg_dry_run"/),
      expect.stringMatching(/^ {6}value: \{"type":"interaction.failed"/),
      '  no case touches the rule failures',
      '  no case touches the rule bad',
      '',
    ])
  })

  it.each([
    ['a column', 'row: { id: b1, n: 3 }', 'row.n', '3', '2'],
    ['a column of another type', "row: { n: '2' }", 'row.n', '"2"', '2'],
    ['a failure that does not happen', 'fails: expression_error', 'fails', '"expression_error"', 'nothing of this name'],
    ['a death that does not happen', 'dead: condition_error', 'dead', '"condition_error"', 'nothing of this name'],
  ])('compares %s', (_, expected, field, wanted, seen) => {
    const one = 'event: { type: batch.failed, data: { id: b1, n: 2 } }'
    const deliveries = `[{ rule: failures, sink: ops }, { rule: failures, sink: jobs, ${expected} }]`
    const config = files.write('relay.yaml', `${relay}tests: [{ name: one, ${one}, expect: ${deliveries} }]\n`)
    const { code, stdout } = test(config)
    expect(code).toBe(1)
    expect(stdout).toContain(`    rule failures, sink jobs, ${field}\n      wanted ${wanted}\n      seen   ${seen}\n`)
  })

  it('compares lists member by member, of the same length', () => {
    const slack = relay.replace(
      "text: ':x: {{ event.subject }} {{ event.data.why }}'",
      "blocks: [{ a: '{{ event.subject }}', b: x }, { a: z }]",
    )
    const cases = (blocks: string) => `${slack}tests:
  - name: one
    event: { type: batch.failed, data: { id: b1, n: 2 } }
    expect: [{ rule: failures, sink: jobs }, { rule: failures, sink: ops, blocks: ${blocks} }]
`
    expect(test(files.write('relay.yaml', cases('[{ a: b1 }, {}]'))).code).toBe(0)
    expect(test(files.write('relay.yaml', cases('[{ a: b1 }]'))).stdout).toContain('sink ops, blocks\n')
    expect(test(files.write('relay.yaml', cases('[{ a: b1 }, { a: y }]'))).stdout).toContain('sink ops, blocks[1].a\n')
  })

  it('takes a delivery that cannot be rendered, where that is expected, and says why where it is not', () => {
    const event = 'event: { type: batch.succeeded, data: { id: b1, n: 12 } }'
    const keyed = relay.replace('to: [stream]', 'to: [{ sink: stream, key: event.data.n.size() }]')
    const cases = (expected: string) =>
      `${keyed}tests: [{ name: one, ${event}, expect: [{ rule: large, sink: stream, ${expected} }] }]\n`
    expect(test(files.write('relay.yaml', cases('fails: expression_error'))).code).toBe(0)
    const { code, stdout } = test(files.write('relay.yaml', cases('topic: jobs')))
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/sink stream, fails\n +wanted null\n +seen +"expression_error: .+"/),
    ])
    expect(stdout).not.toContain('stream, topic')
  })

  it('refuses cases of what the configuration does not have, each with its place', () => {
    const config = files.write('relay.yaml', relay)
    files.write(
      'relay.test.yaml',
      `tests:
  - { name: a, event: {}, expect: [{ rule: failure, sink: ops }] }
  - { name: b, event: {}, expect: [{ rule: large, sink: ops }] }
  - { name: b, event: {}, expect: [{ rule: large, sink: stream }, { rule: large, sink: stream }] }
  - { name: d, source: gemin, event: {}, expect: [] }
`,
    )
    const { code, stdout } = test(config)
    expect(code).toBe(1)
    expect(stdout.split('\n')).toEqual([
      'FAIL relay.yaml',
      'relay.test.yaml:2:44: there is no rule `failure`, did you mean `failures`?',
      'relay.test.yaml:3:57: the rule `large` does not feed `ops`',
      'relay.test.yaml:4:13: there is another case of this name',
      'relay.test.yaml:4:67: `large` feeds `stream` once, and is expected to twice',
      'relay.test.yaml:5:24: there is no source `gemin`, did you mean `gemini`?',
      '',
    ])
    files.write('relay.test.yaml', '- { name: a, evnt: {}, expect: [] }\n')
    expect(test(config).stdout).toContain('relay.test.yaml:1:14: unknown key `evnt`, did you mean `event`?')
  })

  const all = `
sources: { gemini: { path: /hook, dynamic: { audience: any } } }
sinks:
  ops: { type: slack, token: t, channel: C012, thread: subject }
  tops: { type: slack, token: t, channel: C012, update: subject, blocks: [{ type: divider }] }
  stream: { type: kafka, brokers: ['kafka:9092'], topic: jobs, format: cloudevents }
  shaped: { type: kafka, brokers: ['kafka:9092'], topic: jobs, value: { id: event.subject } }
  jobs: { type: table, table: jobs, key: [id], columns: { id: event.subject, status: event.type } }
  forward: { type: http, url: 'https://a.example/', headers: { X-Team: a, X-Passed-Over: b }, value: event.data }
  trace: { type: log }
  short: { type: log, value: { id: event.subject, more: { type: event.type }, all: [event.type], n: 1 } }
rules:
  - name: all
    to:
      - ops
      - tops
      - stream
      - { sink: shaped, value: { job: event.subject } }
      - jobs
      - { sink: forward, headers: { x-passed-over: null, x-more: b }, value: { job: event.subject } }
      - trace
      - short
`

  it('may expect all that is shown', () => {
    const { config } = loadConfig({ file: files.write('relay.yaml', all), env: {} })
    const event = { type: 'batch.failed', data: { id: 'b1' } }
    const made = createExplainer(config)
      .explain({ stored: dryEvent({ body: event, source: 'gemini' }), resource: null })
      .flatMap(({ rule, ...explained }) =>
        'deliveries' in explained
          ? explained.deliveries.map(({ sink, ...preview }) => ({ rule, sink, ...('sends' in preview ? preview.sends : {}) }))
          : [],
      )
    expect(made).toHaveLength(8)
    files.write('relay.test.yaml', JSON.stringify([{ name: 'one', event, expect: made }]))
    expect(test(files.write('relay.yaml', all))).toMatchObject({ code: 0, stdout: 'ok   relay.yaml: 1 case\n' })
  })

  it.each([
    ['sink: ops, txet: a', 'txet', 'unknown key `txet`, did you mean `text`?'],
    [
      'sink: ops, topic: a',
      'topic',
      'a delivery to a sink of type slack shows no `topic`: it shows `channel`, `text`, `blocks`, `thread`, `update`',
    ],
    ['sink: forward, value: a', 'value', 'a delivery to a sink of type http shows no `value`: it shows `url`, `headers`, `body`'],
    ['sink: jobs, row: { stauts: a }', 'stauts', '`row` has no `stauts`, did you mean `status`?'],
    ['sink: stream, headers: { ce_tpye: a }', 'ce_tpye', '`headers` has no `ce_tpye`, did you mean `ce_type`?'],
    ['sink: shaped, headers: { ce_type: a }', 'ce_type', '`headers` has no `ce_type`'],
    ['sink: shaped, value: { jobb: a }', 'jobb', '`value` has no `jobb`, did you mean `job`?'],
    ['sink: shaped, value: { id: a }', 'id', '`value` has no `id`'],
    ['sink: forward, headers: { X-Team: a }', 'X-Team', '`headers` has no `X-Team`, did you mean `x-team`?'],
    ['sink: forward, headers: { x-passed-over: a }', 'x-passed-over', '`headers` has no `x-passed-over`'],
    ['sink: forward, body: { jobs: a }', 'jobs', '`body` has no `jobs`, did you mean `job`?'],
    ['sink: trace, line: { event: { sorce: a } }', 'sorce', '`line.event` has no `sorce`, did you mean `source`?'],
    ['sink: trace, line: { value: a }', 'value', '`line` has no `value`'],
    ['sink: short, line: { value: { more: { tpye: a } } }', 'tpye', '`line.value.more` has no `tpye`, did you mean `type`?'],
  ])('refuses to compare what is never shown: %s', (expected, key, message) => {
    const delivery = `    - { rule: all, ${expected} }`
    files.write('relay.test.yaml', `- name: one\n  event: {}\n  expect:\n${delivery}\n`)
    const place = `4:${delivery.lastIndexOf(`${key}:`) + 1}`
    const { stdout } = test(files.write('relay.yaml', all))
    expect(stdout).toBe(`FAIL relay.yaml\nrelay.test.yaml:${place}: ${message}\n`)
  })

  it('says once what an alias repeats', () => {
    const cases = `- &one
  name: one
  event: {}
  expect: [&delivery { rule: all, sink: jobs, row: { stauts: a } }]
- { <<: *one, name: two }
- { name: three, event: {}, expect: [*delivery] }
`
    files.write('relay.test.yaml', cases)
    expect(test(files.write('relay.yaml', all)).stdout).toBe(
      'FAIL relay.yaml\nrelay.test.yaml:4:54: `row` has no `stauts`, did you mean `status`?\n',
    )
  })

  it('says once of a delivery that its rule is misspelt', () => {
    files.write('relay.test.yaml', '- { name: one, event: {}, expect: [{ rul: all, sink: trace }] }\n')
    const { stdout } = test(files.write('relay.yaml', all))
    expect(stdout).toBe('FAIL relay.yaml\nrelay.test.yaml:1:38: unknown key `rul`, did you mean `rule`?\n')
  })

  it('asks for the source where there are several', () => {
    const two = relay.replace('sources: {', 'sources: { other: { path: /other, dynamic: { audience: any } },')
    const cases = (source: string) =>
      `${two}tests: [{ name: a, ${source}event: { type: batch.failed, data: { id: 1, n: 1 } }, expect: [] }]\n`
    expect(test(files.write('relay.yaml', cases(''))).stdout).toContain('there are several sources: say which, with `source`')
    const { json } = test(
      files.write(
        'relay.yaml',
        cases('source: gemini, ').replace('type: batch.failed, data: { n: [{ exists: true }] }', 'source: gemini'),
      ),
    )
    expect(json).toMatchObject([
      {
        cases: [
          {
            problems: [
              { problem: 'unexpected', rule: 'failures', sink: 'ops' },
              { problem: 'unexpected', rule: 'failures', sink: 'jobs' },
            ],
          },
        ],
      },
    ])
  })
})
