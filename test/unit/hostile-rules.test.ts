/** What was made to hold the thread: `npm run bench -- hostile` measures the same samples. */
import { describe, expect, it, test } from 'vitest'
import { ConfigError } from '../../src/config/issues.ts'
import { loadConfig } from '../../src/config/load.ts'
import { compileCondition, compileValue } from '../../src/route/expression.ts'
import { compilePattern } from '../../src/route/patterns.ts'
import { compileRules } from '../../src/route/plan.ts'
import { StepsError } from '../../src/route/steps.ts'
import { compileText, compileTextTree, TemplateError } from '../../src/route/template.ts'
import { relayEvent } from '../fixtures/deliveries.ts'
import { hostileData, hostileEvent } from '../fixtures/hostile-events.ts'
import { compileSample, hostileSamples, type Ending } from '../fixtures/hostile-rules.ts'

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}

const samplesThatEnd = (ending: Ending) =>
  hostileSamples.filter((sample) => sample.ending === ending).map((sample) => ({ ...sample, sample }))

test.each(hostileData)('the event of %s is one that the default body limit lets in', (name) => {
  expect(Buffer.byteLength(JSON.stringify({ type: 'batch.failed', data: hostileEvent(name).data }))).toBeLessThanOrEqual(
    256 * 1_024,
  )
})

const refused = {
  text: { name: 'TemplateError', line: 1, column: expect.any(Number) },
  value: { name: 'ExpressionError', code: 'limit', offset: expect.any(Number) },
  pattern: { name: 'PatternError', faults: [{ path: expect.any(Array) }] },
}

describe('refused when it is loaded', () => {
  it.each(samplesThatEnd('load'))('$kind: $name', ({ kind, sample }) => {
    expect(thrownBy(() => compileSample(sample))).toMatchObject(refused[kind])
  })
})

const stopped = {
  text: { name: 'TemplateError', message: expect.stringMatching(/1,500,000 steps|expected a number/), line: expect.any(Number) },
  value: { name: 'ExpressionError', code: 'limit' },
  pattern: { name: 'StepsError' },
}

describe('stopped at its bound', () => {
  it.each(samplesThatEnd('run'))('$kind: $name', ({ kind, data, sample }) => {
    const run = compileSample(sample)
    expect(thrownBy(() => run(hostileEvent(data)))).toMatchObject(stopped[kind])
  })
})

describe('harmless', () => {
  it.each(samplesThatEnd('answer'))('$kind: $name', ({ data, sample }) => {
    const run = compileSample(sample)
    expect(thrownBy(() => run(hostileEvent(data)))).toBeUndefined()
  })
})

describe('what is ordinary goes on working', () => {
  const text = (source: string, event = hostileEvent('message')) => compileText(source, { escape: 'slack' })(event)

  test('an error message of 256 KiB, cut to what is shown', () => {
    const shown = text(
      '{{ event.data.error_message | default: "none" | strip_html | strip_newlines | truncate: 300 }} {{ event.data.error_message | split: "\n" | first }}',
    )
    expect(shown).toMatch(/^Quota exceeded for {2}&amp; retry later\.Quota.*\.\.\. Quota exceeded for &lt;model&gt;/)
  })

  test('how long a text of 256 KiB is, several times', () => {
    expect(text('{% for i in (1..9) %}{{ event.data.error_message.size }} {% endfor %}')).toMatch(/^(\d{6} ){9}$/)
  })

  test('a Slack text of 40,000 characters, and a template of as many', () => {
    expect(text('{{ event.data.error_message | truncate: 40000 }}').length).toBeGreaterThan(40_000)
    expect(text(`${'x'.repeat(40_000)}{{ event.type }}`)).toHaveLength(40_012)
  })

  test.each([
    ['{% for i in event.data.items %}- {{ i.name }}: {{ i.status }}\n{% endfor %}', '- item-2999: ok\n'],
    ['{% for i in event.data.items %}{% if i.status == "failed" %}{{ i.name | upcase }} {% endif %}{% endfor %}', 'ITEM-2997 '],
    ['{{ event.data.items | where: "status", "failed" | map: "name" | join: ", " }}', 'item-2997'],
    ['{{ event.data.items | map: "n" | sort | reverse | first }}/{{ event.data.items.size }}', '2999/3000'],
    ['{{ event.data | json | truncate: 3000 }}', '...'],
  ])('three thousand results: %s', (source, end) => {
    expect(text(source, hostileEvent('results')).endsWith(end)).toBe(true)
  })

  test.each([
    ['event.data.items.exists(i, i.status == "failed")', true],
    ['event.data.?items.orValue([]).filter(i, i.status == "failed").size() > 999', true],
    ['event.data.items.all(i, i.n >= 0 && i.name.startsWith("item-"))', true],
    ['event.data.items.map(i, i.name).join(",").size() < 40000', true],
    ['["quota", "limit", "later"].exists(w, event.data.items[0].name.contains(w))', false],
  ])('three thousand results: %s', (source, expected) => {
    expect(compileCondition(source)(hostileEvent('results'))).toBe(expected)
  })

  test('a loop over a short list, however large the rest of the event is', () => {
    const event = relayEvent({ data: { embeddings: hostileEvent('numbers').data, tags: ['a', 'urgent'] } })
    const source = Array.from({ length: 20 }, (_, n) => `event.data.tags.all(t, t.size() > 0 && t != "${n}")`).join(' && ')
    expect(compileCondition(source)(event)).toBe(true)
    expect(compileValue('event.data.?tags.orValue([]).map(t, t + "!").join(" ")')(event)).toBe('a! urgent!')
  })

  test('a hundred prefixes of three thousand names', () => {
    const prefixes = Array.from({ length: 100 }, (_, n) => ({ prefix: `team-${n}-` }))
    const matches = compilePattern({ data: { items: { name: [...prefixes, 'item-2999'] } } })
    expect(matches(hostileEvent('results'))).toBe(true)
  })
})

describe('a bound', () => {
  test('is for each event: one that took all of it leaves the next its own', () => {
    const matches = compilePattern({ data: { l: Array.from({ length: 100 }, (_, n) => ({ prefix: `q${n}` })) } })
    expect(thrownBy(() => matches(hostileEvent('emptyTexts')))).toBeInstanceOf(StepsError)
    expect(matches(relayEvent({ data: { l: ['q7'] } }))).toBe(true)
  })

  test('is one for all texts of a message', () => {
    const one = '{% for i in (1..3000) %}{{ i }}{% endfor %}'
    const render = (count: number) => () =>
      compileTextTree(
        Array.from({ length: count }, () => one),
        { escape: 'slack' },
      )(relayEvent())
    expect(thrownBy(render(2))).toBeUndefined()
    expect(thrownBy(render(20))).toBeInstanceOf(TemplateError)
  })

  test('that a rule meets is that rule’s alone, and its deliveries say so', () => {
    const to = [{ sink: 'jobs' }]
    const when = { data: { l: Array.from({ length: 100 }, (_, n) => ({ numeric: ['>', 100 + n] })) } }
    const condition = 'event.data.l.all(x, x >= 0) || event.data.l.all(x, x < 0)'
    const plan = compileRules({
      rules: [
        { name: 'when', when, to },
        { name: 'if', if: condition, to },
        { name: 'all', to },
      ],
    })
    const message = (subject: string) => `with this event ${subject} takes more than the 1,500,000 steps that it has`
    expect(plan.route(hostileEvent('numbers'))).toEqual([
      { rule: 'when', sink: 'jobs', dead: { code: 'condition_error', message: message('the pattern') } },
      { rule: 'if', sink: 'jobs', dead: { code: 'condition_error', message: message('the expression') } },
      { rule: 'all', sink: 'jobs' },
    ])
  })
})

test('a configuration says where a rule goes beyond its bound', () => {
  const yaml = [
    'sources: { gemini: { path: /webhooks/gemini, static: { secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw] } } }',
    'sinks: { trace: { type: log } }',
    'rules:',
    '  - name: many',
    `    when: { data: { x: [${Array.from({ length: 2_000 }, (_, n) => n).join(', ')}] } }`,
    `    if: size(${Array.from({ length: 200 }, () => 'event.data.l').join(' + ')}) > 1`,
    '    to: [trace]',
  ].join('\n')
  const error = thrownBy(() => loadConfig({ file: 'relay.yaml', env: {}, readFile: () => yaml }))
  const issues = error instanceof ConfigError ? error.issues : []
  expect(issues.map(({ line, message }) => [line, message])).toEqual([
    [5, expect.stringContaining('a pattern holds 2,000 fields and values at most')],
    [6, expect.stringContaining('even with a small event this takes more than the 1,500,000 steps')],
  ])
})
