import { describe, expect, test } from 'vitest'
import { compileText, compileTextTree, TemplateError } from '../../src/route/template.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

const withData = (data: unknown) => relayEvent({ data })
const slack = (source: string, data: unknown = {}) => compileText(source, { escape: 'slack' })(withData(data))

function errorOf(work: () => unknown): TemplateError {
  try {
    work()
  } catch (error) {
    if (error instanceof TemplateError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('a text', () => {
  test('is filled in from the event', () => {
    expect(slack(':x: {{ event.type }} {{ event.subject }}: {{ event.data.error_message }}', { error_message: 'quota' })).toBe(
      ':x: batch.failed batches/b1: quota',
    )
  })

  test('has nothing where the event has nothing, or the default that it names', () => {
    expect(slack('[{{ event.data.error_message }}{{ event.data.a.b.c }}{{ event.data.n }}]', { n: null })).toBe('[]')
    expect(slack("{{ event.data.error_message | default: 'no message' }}")).toBe('no message')
  })

  test('may have conditions, loops and names of its own', () => {
    const source =
      '{% assign n = event.data.tags.size %}{% if n > 1 %}{% for tag in event.data.tags %}{{ tag }}/{{ n }} {% endfor %}{% endif %}'
    expect(slack(source, { tags: ['a', 'b'] })).toBe('a/2 b/2 ')
  })

  test('shows an object as JSON', () => {
    expect(slack('{{ event.data }}', { a: [1, null] })).toBe('{"a":[1,null]}')
  })

  test('writes dates the same on every machine', () => {
    expect(slack('{{ event.timestamp | date: "%d %B %H:%M %z" }}')).toBe('20 November 10:00 +0000')
  })

  test('reaches nothing that is inherited', () => {
    expect(slack('[{{ event.data.toString }}{{ event.data.constructor.name }}{{ event.data.__proto__ }}]')).toBe('[]')
  })
})

describe('escaping for Slack', () => {
  const hostile = { error_message: '<!channel> & <https://x|y>' }
  const escaped = '&lt;!channel&gt; &amp; &lt;https://x|y&gt;'

  test.each([
    '{{ event.data.error_message }}',
    "{{ event.data.error_message | default: 'none' }}",
    '{{ event.data.error_message | raw | append: "" }}',
    '{% assign text = event.data.error_message %}{{ text }}',
    '{% echo event.data.error_message %}',
    '{% for word in event.data.list %}{{ word }}{% endfor %}',
    '{% cycle event.data.error_message %}',
    '{{ event.data.list }}',
  ])('holds for %s', (source) => {
    expect(slack(source, { ...hostile, list: [hostile.error_message] })).toBe(escaped)
  })

  test('leaves the words of the template alone', () => {
    expect(slack('<!here> {{ event.data.error_message }}', hostile)).toBe(`<!here> ${escaped}`)
  })

  test('is given up by `| raw` at the end', () => {
    expect(slack('{{ event.data.error_message | raw }}', hostile)).toBe(hostile.error_message)
  })

  test('happens only where it is asked for', () => {
    expect(compileText('{{ event.data.error_message }}', { escape: 'none' })(withData(hostile))).toBe(hostile.error_message)
  })
})

describe('a structure of texts', () => {
  test('keeps its shape and fills in every string', () => {
    const blocks = [
      {
        type: 'section',
        text: { type: 'mrkdwn', text: '*{{ event.type }}* {{ event.data.m }}' },
        expand: true,
        n: 3,
        none: null,
      },
    ]
    expect(compileTextTree(blocks, { escape: 'slack' })(withData({ m: '<x>' }))).toEqual([
      { type: 'section', text: { type: 'mrkdwn', text: '*batch.failed* &lt;x&gt;' }, expand: true, n: 3, none: null },
    ])
  })

  test('does not compile when one of its texts does not', () => {
    expect(errorOf(() => compileTextTree({ a: ['{{ evnt.type }}'] }, { escape: 'none' })).message).toContain(
      'did you mean `event`?',
    )
  })
})

describe('a text that does not compile', () => {
  test.each([
    ['{{ event.type | upcas }}', 1, 1, 'undefined filter: upcas, did you mean `upcase`?'],
    ['a\n  {{ event.type', 2, 3, 'output "{{ event.type" not closed'],
    ['{% if event.type %}', 1, 1, 'tag {% if event.type %} not closed'],
    ['a\n{{ evnt.type }}', 2, 4, 'unknown variable `evnt`, did you mean `event`?'],
    ['{{ type }}', 1, 4, 'unknown variable `type`, did you mean `event.type`?'],
    ['{{ event.typ }}', 1, 4, '`event` has no field `typ`, did you mean `type`?'],
    ['{{ event.data[key] }}', 1, 15, 'unknown variable `key`: the only one is `event`'],
  ])('%j says where and why', (source, line, column, message) => {
    expect(errorOf(() => compileText(source, { escape: 'none' }))).toMatchObject({ line, column, message })
  })

  test('says all names that nobody has, each once', () => {
    const { message, further } = errorOf(() =>
      slack('{{ evnt.x }} {{ event.typ }}\n{{ typ }}{% if event.typ %}{{ event.sorce }}{% endif %}'),
    )
    expect([message, ...further.map((other) => `${other.line}:${other.column} ${other.message}`)]).toEqual([
      'unknown variable `evnt`, did you mean `event`?',
      '2:4 unknown variable `typ`: the only one is `event`',
      '1:17 `event` has no field `typ`, did you mean `type`?',
      '2:31 `event` has no field `sorce`, did you mean `source`?',
    ])
  })

  test.each(['include', 'render', 'layout', 'block', 'tablerow'])(
    'is one with a tag that texts do not have: {%% %s %%}',
    (tag) => {
      expect(errorOf(() => compileText(`{% ${tag} 'package.json' %}`, { escape: 'none' })).message).toBe(`tag "${tag}" not found`)
    },
  )

  test('is one of more than fifty thousand characters, or of five thousand in tags', () => {
    expect(errorOf(() => compileText('x'.repeat(50_001), { escape: 'none' }))).toMatchObject({
      line: 1,
      column: 1,
      message: 'a text has 50,000 characters at most, this one 50,001',
    })
    expect(errorOf(() => compileText(`a\n${'{{ 1 }}'.repeat(715)}`, { escape: 'none' }))).toMatchObject({
      line: 2,
      column: 4_999,
      message: 'a text has 5,000 characters of tags and outputs at most',
    })
  })

  test('is one with a filter that texts do not have, and it says why', () => {
    expect(errorOf(() => compileText('{{ event.data.l | sample }}', { escape: 'none' })).message).toMatch(/^`sample` is not in/)
  })
})

test('a text that would never end is ended, and says where it was', () => {
  const message = 'with this event the text takes more than the 1,500,000 steps that it has'
  expect(errorOf(() => slack('{% for i in (1..100000000) %}x{% endfor %}'))).toMatchObject({ message, line: 1, column: 1 })
  const nested =
    '{% for a in event.data.l %}\n{% for b in event.data.l %}{% for c in event.data.l %}x{% endfor %}{% endfor %}{% endfor %}'
  const l = Array.from({ length: 500 }, (_, index) => index)
  expect(errorOf(() => slack(nested, { l })).message).toBe(message)
})

test('data nested too deeply fails the text and nothing else', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)
  expect(() => slack('{{ event.data }}', deep)).toThrow(TemplateError)
  expect(slack('{{ event.type }}', deep)).toBe('batch.failed')
})
