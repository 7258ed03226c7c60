import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { columnText } from '../../src/sinks/table-value.ts'

it.each(['scalar', 'json', 'array', 'json_array'] as const)('null and what is not there are null in a %s column', (kind) => {
  expect([columnText(null, kind), columnText(undefined, kind)]).toEqual([null, null])
})

describe('a scalar column', () => {
  it.each([
    ['', ''],
    ['text', 'text'],
    ['a\0b', 'a\uFFFDb'],
    [0, '0'],
    [-0, '0'],
    [1e21, '1e+21'],
    [true, 'true'],
    [{ a: 'x\0' }, '{"a":"x\\ufffd"}'],
    [[1, 'two'], '[1,"two"]'],
  ])('%j as %j', (value, text) => {
    expect(columnText(value, 'scalar')).toBe(text)
  })
})

describe('a json column', () => {
  it.each([
    ['text', '"text"'],
    [1.5, '1.5'],
    [false, 'false'],
    ['\0', '"\\ufffd"'],
    ['\\u0000', '"\\\\u0000"'],
    ['\\\0', '"\\\\\\ufffd"'],
    ['\uD800', '"\\ufffd"'],
    ['\uDFFF\\uDFFF', '"\\ufffd\\\\uDFFF"'],
    ['🚀', '"🚀"'],
    ['"\0"', '"\\"\\ufffd\\""'],
  ])('%j as %s', (value, text) => {
    expect(columnText(value, 'json')).toBe(text)
  })

  it('is the same JSON with a replacement character for each that jsonb does not take, for any value', () => {
    const clean = (value: unknown): unknown => {
      if (typeof value === 'string') return value.replaceAll('\0', '\uFFFD').replaceAll(/\p{Surrogate}/gu, '\uFFFD')
      if (Array.isArray(value)) return value.map(clean)
      if (typeof value === 'object' && value !== null)
        return Object.fromEntries(Object.entries(value).map(([key, child]) => [clean(key), clean(child)]))
      return Object.is(value, -0) ? 0 : value
    }
    const pieces = fc.constantFrom('\0', '\uD800', '\uDC00', '\\', '\\u0000', '\\ud800', 'u0000', '"', '🚀', 'a')
    const texts = fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join(''))
    const values = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        texts,
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.constant(null),
        tie('list'),
        tie('map'),
      ),
      list: fc.array(tie('value'), { maxLength: 4 }),
      map: fc
        .array(
          fc.tuple(
            texts.filter((key) => key !== '__proto__'),
            tie('value'),
          ),
          { maxLength: 4 },
        )
        .map((entries) => Object.fromEntries(entries)),
    })).value
    fc.assert(
      fc.property(
        values.filter((value) => value !== null),
        (value) => {
          expect(JSON.parse(columnText(value, 'json') ?? '')).toEqual(clean(value))
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('takes values that are nested deeper than the stack', () => {
    let deep: unknown = 1
    for (let n = 0; n < 100_000; n++) deep = [deep]
    expect(columnText(deep, 'json')).toHaveLength(200_001)
  })
})

describe('an array column', () => {
  it.each([
    [[], '{}'],
    [['a', 'b c'], '{"a","b c"}'],
    [[1, true, null], '{"1","true",NULL}'],
    [['NULL', '', '{}'], '{"NULL","","{}"}'],
    [['"', '\\', '\0'], '{"\\"","\\\\","\uFFFD"}'],
    [[[1, 2], [3]], '{{"1","2"},{"3"}}'],
    [[{ a: '"' }], '{"{\\"a\\":\\"\\\\\\"\\"}"}'],
    ['{already,literal}', '{already,literal}'],
  ])('%j as %s', (value, text) => {
    expect(columnText(value, 'array')).toBe(text)
  })

  it('of json holds each element as JSON, a list in it too', () => {
    expect(columnText(['text', [1, 2], null, 3], 'json_array')).toBe('{"\\"text\\"","[1,2]",NULL,"3"}')
  })
})
