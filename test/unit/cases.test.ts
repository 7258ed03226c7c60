import { describe, expect, it } from 'vitest'
import { asJson, hasFailed, resultsOf } from '../../src/cli/test/results.ts'
import { textOf } from '../../src/cli/test/text.ts'
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
    ['a column that there is not', 'row: { m: 2 }', 'row.m', '2', 'nothing of this name'],
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
