import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileCondition, compileTopicValue, compileValue, ExpressionError } from '../../src/route/expression.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

const withData = (data: unknown) => relayEvent({ data })
const value = (source: string, data: unknown = {}) => compileValue(source)(withData(data))
const holds = (source: string, data: unknown = {}) => compileCondition(source)(withData(data))

function errorOf(work: () => unknown): ExpressionError {
  try {
    work()
  } catch (error) {
    if (error instanceof ExpressionError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('a value', () => {
  test.each([
    ['event.subject', {}, 'batches/b1'],
    ['event.data.?error_message.orValue(null)', {}, null],
    ['event.data.?error_message.orValue(null)', { error_message: 'quota' }, 'quota'],
    ['event.data.?nothing', {}, null],
    ['event.data.tags[1]', { tags: ['a', 'b'] }, 'b'],
    ['event.data["error-code"]', { 'error-code': 7 }, 7],
    ['{"id": event.data.id, "n": size(event.data.tags)}', { id: 'x', tags: [1, 2] }, { id: 'x', n: 2 }],
    ['has(event.data.id) ? event.data.id : event.webhook_id', { id: 'x' }, 'x'],
    ['timestamp(event.timestamp)', {}, '2026-11-20T10:00:00.000Z'],
    ['duration("3.5s")', {}, '3.5s'],
    ['b"abc"', {}, 'YWJj'],
    ['event.data', { a: [1, { b: null }] }, { a: [1, { b: null }] }],
  ])('%s of %j is %j', (source, data, expected) => {
    expect(value(source, data)).toEqual(expected)
  })

  test('is a number when it is an integer that JavaScript holds, else its digits', () => {
    expect(value('9007199254740991')).toBe(9_007_199_254_740_991)
    expect(value('9007199254740993')).toBe('9007199254740993')
    expect(value('uint(3)')).toBe(3)
    expect(value('[1, 2]')).toEqual([1, 2])
  })

  test('may calculate with the numbers of the event and with literals', () => {
    expect(value('event.data.n + 1', { n: 3 })).toBe(4)
    expect(value('10 - event.data.n', { n: 2.5 })).toBe(7.5)
    expect(value('event.data.n % 2', { n: 7 })).toBe(1)
    expect(value('event.data.n / 2', { n: 3 })).toBe(1.5)
  })

  test('that is missing is an error which says so, and where', () => {
    const error = errorOf(() => value('event.data.output_uri'))
    expect(error).toMatchObject({ code: 'missing', offset: 11 })
  })

  test.each([
    'event.data.constructor',
    'event.data.__proto__',
    'event.data.tags.constructor',
    'event.data.id.constructor',
    'event.user_metadata.toString',
  ])('%s is missing unless the sender sent it: nothing inherited is reachable', (source) => {
    expect(errorOf(() => value(source, { id: 'x', tags: [] })).code).toBe('missing')
  })

  test('named constructor or __proto__ by the sender is a value like any other', () => {
    const data: unknown = JSON.parse(
      '{"id": "x", "constructor": {"a": 1}, "__proto__": {"b": 2}, "tags": [{"constructor": null}]}',
    )
    expect(value('event.data.id', data)).toBe('x')
    expect(value('event.data.constructor.a', data)).toBe(1)
    expect(value('size(event.data.tags)', data)).toBe(1)
    expect(JSON.stringify(value('event.data', data))).toBe(JSON.stringify(data))
    expect(compileValue('event.user_metadata.team')(relayEvent({ user_metadata: { constructor: 1, team: 'a' } }))).toBe('a')
  })
})

describe('a condition', () => {
  test.each([
    ['event.data.error_count > 10', { error_count: 11 }, true],
    ['event.data.error_count > 10', { error_count: 10 }, false],
    ['event.data.error_count == 3', { error_count: 3 }, true],
    ['event.data.error_count == 3', { error_count: 3.5 }, false],
    ['3 == event.data.error_count', { error_count: 3 }, true],
    ['event.data.error_count in [1, 2, 3]', { error_count: 2 }, true],
    ['event.type.startsWith("batch.") && event.data.id != ""', { id: 'x' }, true],
    ['event.data.tags.exists(tag, tag == "urgent")', { tags: ['a', 'urgent'] }, true],
    ['event.version == null', {}, false],
  ])('%s of %j is %j', (source, data, expected) => {
    expect(holds(source, data)).toBe(expected)
  })

  test.each([
    'event.data.error_count > 10',
    'event.data.error.code == 3',
    '!(event.data.error_count > 10)',
    'event.data.tags[3] == "x"',
    'event.data.?error_count.value() > 1',
    'event.user_metadata.priority == "high"',
  ])('%s is false where the field is missing', (source) => {
    expect(holds(source, { tags: [] })).toBe(false)
  })

  test('about data is false where there is none', () => {
    expect(holds('event.data.error_count > 10', null)).toBe(false)
    expect(holds('event.data.error_count > 10', 'text')).toBe(false)
  })

  test('with an alternative that holds needs no field of the other', () => {
    expect(holds('event.data.nothing == 1 || event.type == "batch.failed"')).toBe(true)
  })

  test.each([
    ['event.data.error_count > 10', { error_count: 'many' }],
    ['event.data.error_count > 10', { error_count: null }],
    ['1 / 0 == 1', {}],
    ['int(event.data.id) > 1', { id: 'x' }],
  ])('%s of %j fails, which is not the same as false', (source, data) => {
    expect(errorOf(() => holds(source, data)).code).toBe('evaluation')
  })

  test('that gives no boolean fails', () => {
    expect(errorOf(() => holds('event.data.flag', { flag: 'true' })).code).toBe('type')
    expect(holds('event.data.flag', { flag: true })).toBe(true)
  })

  test('that can never be a boolean does not compile', () => {
    expect(errorOf(() => compileCondition('event.type'))).toMatchObject({
      code: 'type',
      message: 'a condition must be bool, this is string',
    })
  })
})

describe('the name of a topic', () => {
  test.each([
    ['1', 'int'],
    ['size(event.type)', 'int'],
    ['1.5', 'double'],
    ['1u', 'uint'],
    ['event.type == "x"', 'bool'],
    ['null', 'null'],
    ['[event.type]', 'list<string>'],
    ['event.user_metadata', 'map<string, dyn>'],
    ['event', '$event'],
    ['optional.of(1)', 'optional<int>'],
    ['timestamp(event.timestamp)', 'google.protobuf.Timestamp'],
  ])('cannot be %s', (source, type) => {
    const { code, message, offset } = errorOf(() => compileTopicValue(source))
    expect([code, message, offset]).toEqual(['type', `a topic must be string, this is ${type}`, 0])
  })

  test.each([
    ['event.type', 'batch.succeeded'],
    ['event.data.topic', 'jobs'],
    ['event.user_metadata.team', 'ads'],
    ['[1, event.data.topic][1]', 'jobs'],
    ['optional.of(event.type)', 'batch.succeeded'],
    ['event.data.?topic', 'jobs'],
    ['string(1 + 1)', '2'],
    ['duration("3s")', '3s'],
    ['b"jobs"', 'am9icw=='],
    ['type(event.type)', 'string'],
  ])('may be %s', (source, name) => {
    const event = { ...withData({ topic: 'jobs' }), type: 'batch.succeeded', user_metadata: { team: 'ads' } }
    expect(compileTopicValue(source)(event)).toBe(name)
  })
})

describe('an expression that does not compile', () => {
  test.each([
    ['event.typ == "x"', 'unknown_name', 6, '`event` has no field `typ`, did you mean `type`?'],
    ['event["typ"]', 'unknown_name', 0, '`event` has no field `typ`, did you mean `type`?'],
    ['1 + evnt.type', 'unknown_name', 4, 'unknown name `evnt`, did you mean `event`?'],
    ['subject', 'unknown_name', 0, 'unknown name `subject`, did you mean `event.subject`?'],
    ['env', 'unknown_name', 0, 'unknown name `env`: the only variable is `event`'],
    ['event.data.a ==', 'syntax', 15, 'Unexpected token: EOF'],
    ['event.type + 1', 'type', 0, 'no such overload: string + int'],
  ])('%s says %s at %i', (source, code, offset, message) => {
    expect(errorOf(() => compileValue(source))).toMatchObject({ code, offset, message })
  })

  test('because it is too large says that', () => {
    expect(errorOf(() => compileValue(`${'('.repeat(500)}1${')'.repeat(500)}`)).code).toBe('limit')
    expect(errorOf(() => compileValue(Array.from({ length: 5_000 }, () => '1').join('+'))).code).toBe('limit')
  })
})

describe('names that nobody has are said', () => {
  const names = (source: string) => {
    const error = errorOf(() => compileCondition(source))
    return [error, ...error.further].map(({ code, message, offset }) => [code, message.match(/`[^`]*`/g)?.join(' '), offset])
  }

  test.each([
    [
      'all of them',
      'event.tpye == evnt.type || event.sorce == x',
      ['`event` `tpye` `type` 6', '`evnt` `event` 14', '`event` `sorce` `source` 33', '`x` `event` 42'],
    ],
    ['each once', 'event.tpye == "a" || event["tpye"] == "b"', ['`event` `tpye` `type` 6']],
    ['a field and a variable of one name', 'event.tpye == tpye', ['`event` `tpye` `type` 6', '`tpye` `event` 14']],
    ['less those that a macro gives', '[1].exists(x, x == y) && x == 1', ['`y` `event` 19', '`x` `event` 25']],
    ['one that no variable can be called', 'event["a b"] == 1', ['`event` `b` 0']],
    [
      'at most ten',
      Array.from({ length: 30 }, (_, n) => `x${n} == 1`).join(' || '),
      Array.from({ length: 10 }, (_, n) => `\`x${n}\` \`event\` ${n * 11}`),
    ],
    ['what comes too late beside it', 'event.resource.state == event.tpye', ['`event.resource` 6', '`event` `tpye` `type` 30']],
  ])('%s', (_, source, expected) => {
    expect(names(source).map(([, message, offset]) => `${message} ${offset}`)).toEqual(expected)
  })
})

describe('an expression whose cost has no bound does not compile', () => {
  const items = 'event.data.items'
  const nested = 'macros cannot be nested in this version'
  const matches =
    '`matches` is not in this version: its pattern could take for ever; `contains`, `startsWith`, `endsWith` and `when` patterns are there'

  test.each([
    ['event.data.id.matches("^(a+)+$")', 0, matches],
    ['true || !event.type.matches(event.data.pattern)', 9, matches],
    [`${items}.all(x, x.matches("a"))`, 24, matches],
    [`${items}.all(x, x.all(y, y > 0))`, 24, nested],
    [`${items}.exists(x, [1].exists_one(y, x == y))`, 27, nested],
    [`{"a": ${items}.map(x, x.ok, x.tags.filter(y, true))}`, 36, nested],
    [`[1, 2].map(x, ${items}.map(y, x))`, 14, nested],
    [`${items}.map(x, [x, x]).map(x, [x, x])`, 0, '`map` of what `map` made is not in this version'],
    ['event.data.a.split("").join("ab").split("").join("ab")', 0, '`join` of what `join` made is not in this version'],
    ['bytes(bytes(event.type).hex()).hex()', 0, '`hex` of what `hex` made is not in this version'],
    ['1 + cel.bind(a, event.type, size(a + a))', 4, '`cel.bind` is not in this version'],
    ['duration(event.data.took)', 0, '`duration` takes a literal such as duration("90s") in this version'],
  ])('%s is refused at %i', (source, offset, message) => {
    expect(errorOf(() => compileValue(source))).toMatchObject({ code: 'limit', offset, message })
  })

  test.each([
    [`${items}.all(x, x in event.data.allowed)`, 29, 'inside a macro, only the item itself'],
    [`${items}.map(x, event)`, 24, 'inside a macro, only the item itself'],
    [`${items}.all(t, timestamp(t).getHours("Asia/Tokyo") > 8)`, 24, '`getHours` with a time zone is not in macros'],
    ['event.data.a.contains(event.data.b)', 0, '`contains` needs a short text'],
    ['event.data.a.lastIndexOf(event.data.b)', 0, '`lastIndexOf` needs a short text'],
    ['event.data.tags.join(event.data.id)', 0, '`join` needs a short text'],
  ])('%s, whose cost grows faster than the event or by too much, is refused at %i', (source, offset, message) => {
    expect(errorOf(() => compileValue(source))).toMatchObject({
      code: 'limit',
      offset,
      message: expect.stringContaining(message),
    })
  })

  test.each([
    ['event.data.tags.all(t, t.startsWith("a"))', { tags: ['ab', 'ac'] }, true],
    ['event.data.tags.filter(t, t != "b").map(t, t + "!").join(",")', { tags: ['a', 'b', 'c'] }, 'a!,c!'],
    ['event.data.tags.exists(t, t == event.type)', { tags: ['batch.failed'] }, true],
    ['["quota", "limit"].exists(w, event.data.error.contains(w))', { error: 'over quota' }, true],
    ['event.data.items.map(i, i.tags.join("+")).join(",")', { items: [{ tags: ['a', 'b'] }, { tags: ['c'] }] }, 'a+b,c'],
    ['event.data.a.exists(x, x) && event.data.b.exists(x, x)', { a: [true], b: [true] }, true],
    ['timestamp(event.timestamp).getHours("Asia/Tokyo")', {}, 19],
    ['"a,b".split(event.data.by)', { by: ',' }, ['a', 'b']],
  ])('%s is not', (source, data, expected) => {
    expect(value(source, data)).toEqual(expected)
  })
})

describe('the name of a type', () => {
  test.each([
    ['type', 0, ', did you mean `event.type`?'],
    ['type == "batch.failed"', 0, ', did you mean `event.type`?'],
    ['{"status": type}', 11, ', did you mean `event.type`?'],
    ['[type]', 1, ', did you mean `event.type`?'],
    ['event.data.tags.map(t, string)', 23, ': the only variable is `event`'],
    ['string', 0, ': the only variable is `event`'],
    ['int', 0, ': the only variable is `event`'],
    ['optional', 0, ': the only variable is `event`'],
  ])('is no value: %s', (source, offset, hint) => {
    const name = /\w+/.exec(source.slice(offset))?.[0]
    const expected = { code: 'unknown_name', offset, message: `unknown name \`${name}\`${hint}` }
    expect(errorOf(() => compileValue(source))).toMatchObject(expected)
    expect(errorOf(() => compileCondition(source))).toMatchObject(expected)
  })

  test.each([
    'type(event.data.id) == string',
    'type(event.data.id) in [int, string]',
    'event.data.tags.exists(type, type == "a")',
    'optional.of(1).hasValue()',
  ])('is one where types are compared, and where it names something else: %s', (source) => {
    expect(holds(source, { id: 'x', tags: ['a'] })).toBe(true)
  })
})

describe('data nested too deeply', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)

  test('fails the expressions whose value holds it', () => {
    expect(errorOf(() => value('event.data', deep)).code).toBe('limit')
    expect(errorOf(() => value('event.data.deep', { deep, id: 'job' })).code).toBe('limit')
  })

  test('leaves what lies beside it', () => {
    expect(value('event.data.id', { deep, id: 'job' })).toBe('job')
    expect(value('event.data.?error_message.orValue(null)', { deep, id: 'job' })).toBeNull()
    expect(holds('event.data.id == "job"', { deep, id: 'job' })).toBe(true)
  })

  test('is nothing to the others', () => {
    expect(holds('event.type == "batch.failed"', deep)).toBe(true)
  })
})

describe('a condition on an event that lacks fields', () => {
  const literal = fc.constantFrom('1', '"a"', 'true', 'null', '["a", 1]', '1 / 0')
  const field = fc.constantFrom(
    'event.data',
    'event.data.x',
    'event.data.x.y',
    'event.data.constructor.x',
    'event.data["x"]',
    'event.data.?x.value()',
    'event.user_metadata.x',
    'event.user_metadata.x.y',
    'event.version',
    'event.timestamp.x',
    'event.type',
    'event.nothing',
  )
  const operator = fc.constantFrom('==', '!=', '<', '>=', 'in', '+', '&&')
  const operand = fc.oneof({ weight: 1, arbitrary: literal }, { weight: 3, arbitrary: field })
  const comparison = fc.tuple(operand, operator, operand).map((parts) => parts.join(' '))
  const { source } = fc.letrec<{ source: string }>((tie) => ({
    source: fc.oneof(
      { maxDepth: 3 },
      { weight: 4, arbitrary: comparison },
      { weight: 1, arbitrary: fc.constantFrom('has(event.data.x)', 'event.data.x.exists(y, y == 1)', 'event.data.x') },
      { weight: 1, arbitrary: tie('source').map((inner) => `!(${inner})`) },
      { weight: 2, arbitrary: fc.tuple(tie('source'), tie('source')).map(([a, b]) => `(${a}) && (${b})`) },
      { weight: 2, arbitrary: fc.tuple(tie('source'), tie('source')).map(([a, b]) => `(${a}) || (${b})`) },
      { weight: 1, arbitrary: fc.tuple(tie('source'), tie('source')).map(([a, b]) => `(${a}) == (${b})`) },
      { weight: 1, arbitrary: fc.tuple(tie('source'), tie('source')).map(([a, b]) => `(${a}) ? (${b}) : true`) },
    ),
  }))
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<unknown>('a', 1, true, null),
      fc.array(tie('json'), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom('x', 'y', 'constructor'), tie('json'), { maxKeys: 2 }),
    ),
  }))
  const metadata = fc.dictionary(fc.constantFrom('x', 'y', 'constructor'), json, { maxKeys: 2 })

  type Condition = ReturnType<typeof compileCondition>

  function compiled(written: string): Condition | undefined {
    try {
      return compileCondition(written)
    } catch {
      return undefined
    }
  }

  function endOf(work: () => unknown): { value: unknown } | { failed: string } {
    try {
      return { value: work() }
    } catch (error) {
      if (error instanceof ExpressionError) return { failed: error.code }
      throw error
    }
  }

  test('ends as its evaluation does, where missing is false', () => {
    fc.assert(
      fc.property(source, json, metadata, (written, data, user_metadata) => {
        const condition = compiled(written)
        fc.pre(condition !== undefined)
        const event = relayEvent({ data, user_metadata, version: null, timestamp: null })
        const evaluated = endOf(() => compileValue(written)(event))
        const missing = 'failed' in evaluated && evaluated.failed === 'missing'
        const noBoolean = 'value' in evaluated && typeof evaluated.value !== 'boolean'
        const expected = missing ? { value: false } : noBoolean ? { failed: 'type' } : evaluated
        expect(endOf(() => condition(event))).toEqual(expected)
      }),
      { numRuns: 3_000 },
    )
  })
})
