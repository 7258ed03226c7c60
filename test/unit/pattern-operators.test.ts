/** The operators of patterns: EventBridge's documented examples, and a plain evaluator that the compiled patterns have to agree with. */
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import type { Pattern } from '../../src/config/schema.ts'
import { PatternError } from '../../src/route/pattern-tree.ts'
import { compilePattern } from '../../src/route/patterns.ts'
import { explainPattern } from '../../src/route/mismatch.ts'
import { operators } from '../../src/route/operators.ts'
import { relayEvent } from '../fixtures/deliveries.ts'
import { meets } from '../fixtures/pattern-reference.ts'

const matches = (data: Pattern, value: unknown) => compilePattern({ data })(relayEvent({ data: value }))

/**
 * From the user guide's pages "Creating event patterns", "Comparison operators" and "Event pattern matching with arrays":
 * the pattern's `detail` stands under `data` here, and the event's beside it.
 */
const documented: [what: string, pattern: Pattern, event: unknown, expected: boolean][] = [
  ['a value', { state: ['terminated'] }, { state: 'terminated' }, true],
  ['a value of several', { state: ['terminated', 'stopped'] }, { state: 'stopped' }, true],
  ['another value', { state: ['terminated'] }, { state: 'running' }, false],
  ['null', { responseElements: [null] }, { responseElements: null }, true],
  ['null is no empty text', { responseElements: [null] }, { responseElements: '' }, false],
  ['an empty text', { eventVersion: [''] }, { eventVersion: '' }, true],
  ['an empty text is no null', { eventVersion: [''] }, { eventVersion: null }, false],
  ['a number', { count: [5] }, { count: 5 }, true],
  ['a number is the same in any spelling', { count: [300] }, { count: 3.0e2 }, true],
  ['an array that has one in common', { ASGName: ['a', 'b'] }, { ASGName: ['x', 'b'] }, true],
  ['an array that has none in common', { ASGName: ['a', 'b'] }, { ASGName: ['x', 'y'] }, false],
  ['prefix', { region: [{ prefix: 'us-' }] }, { region: 'us-east-1' }, true],
  ['prefix of another', { region: [{ prefix: 'us-' }] }, { region: 'eu-west-1' }, false],
  ['prefix, ignoring case', { service: [{ prefix: { 'equals-ignore-case': 'EventB' } }] }, { service: 'EVENTBridge' }, true],
  ['suffix', { FileName: [{ suffix: '.png' }] }, { FileName: 'a.png' }, true],
  ['suffix of another', { FileName: [{ suffix: '.png' }] }, { FileName: 'a.png.txt' }, false],
  ['suffix, ignoring case', { FileName: [{ suffix: { 'equals-ignore-case': '.png' } }] }, { FileName: 'a.PNG' }, true],
  [
    'equals-ignore-case',
    { 'detail-type': [{ 'equals-ignore-case': 'ec2 Notification' }] },
    { 'detail-type': 'EC2 notification' },
    true,
  ],
  [
    'wildcard',
    { EventBusArn: [{ wildcard: '*:123456789012:event-bus/*' }] },
    { EventBusArn: 'arn:aws:events:us:123456789012:event-bus/x' },
    true,
  ],
  ['wildcard, not all of it', { FileName: [{ wildcard: 'dir/*.png' }] }, { FileName: 'dir/a.jpg' }, false],
  ['a star that is meant', { a: [{ wildcard: 'x\\*y' }] }, { a: 'x*y' }, true],
  ['a star that is meant stands for nothing else', { a: [{ wildcard: 'x\\*y' }] }, { a: 'xay' }, false],
  ['a backslash that is meant', { a: [{ wildcard: 'x\\\\*' }] }, { a: 'x\\y' }, true],
  ['anything-but', { state: [{ 'anything-but': 'initializing' }] }, { state: 'running' }, true],
  ['anything-but that one', { state: [{ 'anything-but': 'initializing' }] }, { state: 'initializing' }, false],
  ['anything-but several', { state: [{ 'anything-but': ['stopped', 'overloaded'] }] }, { state: 'overloaded' }, false],
  ['anything-but numbers', { limit: [{ 'anything-but': [100, 200, 300] }] }, { limit: 400 }, true],
  ['anything-but, of a field that is missing', { state: [{ 'anything-but': 'x' }] }, {}, false],
  [
    'anything-but, ignoring case',
    { state: [{ 'anything-but': { 'equals-ignore-case': ['initializing', 'stopped'] } }] },
    { state: 'STOPPED' },
    false,
  ],
  ['anything-but a prefix', { state: [{ 'anything-but': { prefix: 'init' } }] }, { state: 'initializing' }, false],
  ['anything-but prefixes', { state: [{ 'anything-but': { prefix: ['init', 'error'] } }] }, { state: 'running' }, true],
  ['anything-but a suffix', { FileName: [{ 'anything-but': { suffix: '.txt' } }] }, { FileName: 'a.txt' }, false],
  ['anything-but suffixes', { FileName: [{ 'anything-but': { suffix: ['.txt', '.rtf'] } }] }, { FileName: 'a.png' }, true],
  ['anything-but a wildcard', { FilePath: [{ 'anything-but': { wildcard: '*/lib/*' } }] }, { FilePath: '/usr/lib/x' }, false],
  [
    'anything-but wildcards',
    { FilePath: [{ 'anything-but': { wildcard: ['*/lib/*', '*/bin/*'] } }] },
    { FilePath: '/home/x' },
    true,
  ],
  ['numeric, a range', { cCount: [{ numeric: ['>', 0, '<=', 5] }] }, { cCount: 5 }, true],
  ['numeric, outside of it', { cCount: [{ numeric: ['>', 0, '<=', 5] }] }, { cCount: 0 }, false],
  ['numeric, one bound', { dCount: [{ numeric: ['<', 10] }] }, { dCount: -1 }, true],
  ['numeric, equal', { xLimit: [{ numeric: ['=', 3.018e2] }] }, { xLimit: 301.8 }, true],
  ['numeric, of a text', { dCount: [{ numeric: ['<', 10] }] }, { dCount: '5' }, false],
  ['cidr', { sourceIPAddress: [{ cidr: '10.0.0.0/24' }] }, { sourceIPAddress: '10.0.0.255' }, true],
  ['cidr, outside of it', { sourceIPAddress: [{ cidr: '10.0.0.0/24' }] }, { sourceIPAddress: '10.0.1.0' }, false],
  ['cidr of IPv6', { ip: [{ cidr: '2001:db8::/32' }] }, { ip: '2001:db8:1::1' }, true],
  ['exists', { state: [{ exists: true }] }, { state: 'x' }, true],
  ['exists, of nothing', { state: [{ exists: true }] }, {}, false],
  ['exists, of null', { state: [{ exists: true }] }, { state: null }, true],
  ['exists: false', { 'c-count': [{ exists: false }] }, { other: 1 }, true],
  ['exists: false, of something', { 'c-count': [{ exists: false }] }, { 'c-count': 1 }, false],
  ['exists: false, where the way there is missing', { a: { b: [{ exists: false }] } }, {}, true],
  ['missing, or a value', { state: [{ exists: false }, 'x'] }, {}, true],
  ['$or', { $or: [{ cCount: [{ numeric: ['>', 0] }] }, { dCount: [{ numeric: ['<', 10] }] }] }, { dCount: 5 }, true],
  [
    '$or, none of it',
    { $or: [{ cCount: [{ numeric: ['>', 0] }] }, { dCount: [{ numeric: ['<', 10] }] }] },
    { dCount: 50 },
    false,
  ],
  ['$or beside fields', { state: ['x'], $or: [{ a: [1] }, { b: [1] }] }, { state: 'y', a: 1 }, false],
  ['operators beside values', { a: [{ prefix: 'x' }, 5, { exists: false }] }, { a: 5 }, true],
]

describe('as EventBridge documents it', () => {
  test.each(documented)('%s', (_, pattern, event, expected) => {
    expect(matches(pattern, event)).toBe(expected)
    expect(meets(pattern, event)).toBe(expected)
  })
})

describe('unlike EventBridge, on purpose', () => {
  test.each<[string, Pattern, unknown, boolean]>([
    ['a value needs no list', { state: 'x' }, { state: 'x' }, true],
    ['exists of a map', { error: [{ exists: true }] }, { error: { code: 1 } }, true],
    ['exists: false of a map', { error: [{ exists: false }] }, { error: { code: 1 } }, false],
    ['exists of a list, even an empty one', { tags: [{ exists: true }] }, { tags: [] }, true],
    ['suffix may end in anything that a text holds', { a: [{ suffix: '\u0000' }] }, { a: 'x\u0000' }, true],
    ['numbers have no bounds', { a: [{ numeric: ['>', 5e9] }] }, { a: 5e9 + 1 }, true],
    ['a range may begin with its upper bound', { a: [{ numeric: ['<', 5, '>', 3] }] }, { a: 4 }, true],
    ['anything-but takes values of every type, mixed too', { a: [{ 'anything-but': ['x', 5, null, true] }] }, { a: null }, false],
    ['a list in a list is no value', { a: ['x'] }, { a: [['x']] }, false],
  ])('%s', (_, pattern, event, expected) => {
    expect(matches(pattern, event)).toBe(expected)
  })
})

const name = fc.constantFrom('a', 'b')
const text = fc.oneof(
  fc.constantFrom('', 'x', 'X', 'xy', 'xyx', 'y*', '10.0.0.1', '2001:db8::1'),
  fc.string({ unit: fc.constantFrom('x', 'y', 'X', '*', '\\', '.'), maxLength: 6 }),
)
const scalar = fc.oneof(text, fc.integer({ min: -3, max: 3 }), fc.boolean(), fc.constant(null))
const data = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 3, depthSize: 'small' }, scalar, fc.array(tie('value'), { maxLength: 3 }), tie('map')),
  map: fc.dictionary(name, tie('value'), { minKeys: 1, maxKeys: 2 }),
})).map

const nonEmpty = text.filter((one) => one !== '')
const stars = fc
  .array(fc.string({ unit: fc.constantFrom('x', 'y', '.'), maxLength: 2 }), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('*').replaceAll(/\*\*+/g, '*'))
const fold = fc.record({ 'equals-ignore-case': nonEmpty })
const oneOrMore = <T>(one: fc.Arbitrary<T>) => fc.oneof(one, fc.array(one, { minLength: 1, maxLength: 3 }))
const bound = fc.integer({ min: -3, max: 3 })
const operator: fc.Arbitrary<Record<string, unknown>> = fc.oneof(
  fc.record({ prefix: fc.oneof(nonEmpty, fold) }),
  fc.record({ suffix: fc.oneof(nonEmpty, fold) }),
  fc.record({ 'equals-ignore-case': text }),
  fc.record({ wildcard: stars }),
  fc.record({
    'anything-but': fc.oneof(
      oneOrMore(scalar),
      fc.record({ prefix: oneOrMore(nonEmpty) }),
      fc.record({ suffix: oneOrMore(nonEmpty) }),
      fc.record({ 'equals-ignore-case': oneOrMore(text) }),
      fc.record({ wildcard: oneOrMore(stars) }),
    ),
  }),
  fc.record({
    numeric: fc.oneof(
      fc.tuple(fc.constantFrom('=', '<', '<=', '>', '>='), bound),
      bound.map((low) => ['>=', low, '<', low + 2]),
    ),
  }),
  fc.record({ exists: fc.boolean() }),
  fc.record({ cidr: fc.constantFrom('10.0.0.0/8', '0.0.0.0/0', '2001:db8::/32') }),
)
const leaf = fc.oneof(scalar, fc.array(fc.oneof(scalar, operator), { minLength: 1, maxLength: 3 }))
const pattern = fc.letrec<{ node: Pattern[string]; fields: Pattern; either: Pattern }>((tie) => ({
  node: fc.oneof({ maxDepth: 3, depthSize: 'small' }, leaf, tie('fields')),
  fields: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.dictionary(name, tie('node'), { minKeys: 1, maxKeys: 2 }),
    tie('either'),
  ),
  either: fc
    .tuple(fc.dictionary(name, tie('node'), { maxKeys: 1 }), fc.array(tie('fields'), { minLength: 2, maxLength: 3 }))
    .map(([beside, $or]) => ({ ...beside, $or })),
})).fields

describe('a compiled pattern', () => {
  it('agrees with a plain evaluator on 20,000 patterns and events, each operator matching and not', () => {
    const reached = new Map<string, number>()
    const outcomes = { true: 0, false: 0 }
    fc.assert(
      fc.property(pattern, data, (wanted, event) => {
        const expected = meets(wanted, event)
        outcomes[`${expected}`] += 1
        for (const one of operators)
          if (JSON.stringify(wanted).includes(`"${one}":`))
            reached.set(`${one} ${expected}`, (reached.get(`${one} ${expected}`) ?? 0) + 1)
        if (JSON.stringify(wanted).includes('"$or":')) reached.set(`$or ${expected}`, (reached.get(`$or ${expected}`) ?? 0) + 1)
        expect(matches(wanted, event)).toBe(expected)
        expect(explainPattern({ data: wanted })(relayEvent({ data: event })) === undefined).toBe(expected)
      }),
      { numRuns: 20_000, seed: 1 },
    )
    for (const one of [...operators, '$or'])
      for (const expected of [true, false])
        expect([one, expected, (reached.get(`${one} ${expected}`) ?? 0) > 100]).toEqual([one, expected, true])
    expect(Math.min(outcomes.true, outcomes.false)).toBeGreaterThan(500)
  })

  it('takes time linear in the text: where it were the product of both, this would not end in time', () => {
    const x = 'a'.repeat(250_000)
    for (const wildcard of [`*${'a'.repeat(19_000)}b*c`, `${'*a'.repeat(5_000)}*b`, `*${'ab'.repeat(9_000)}c*`])
      expect(matches({ x: [{ wildcard }] }, { x })).toBe(false)
  })
})

describe('what is wrong with an operator is said, and where', () => {
  const faultOf = (item: Record<string, unknown>) => {
    try {
      compilePattern({ data: { x: [1, item] } })
    } catch (error) {
      if (error instanceof PatternError) return error.faults.map(({ path, message }) => `${path.join('.')}: ${message}`)
      throw error
    }
    return []
  }

  test.each<[Record<string, unknown>, string]>([
    [{ prefx: 'a' }, 'unknown operator `prefx`, did you mean `prefix`?'],
    [{}, 'expected one operator in each map'],
    [{ prefix: 'a', suffix: 'b' }, 'expected one operator in each map: { prefix: … }, { suffix: … }'],
    [{ prefix: 1 }, '`prefix` takes a text, not a number'],
    [{ prefix: '' }, "`prefix` of an empty text matches every text: use { wildcard: '*' } if that is meant"],
    [{ 'equals-ignore-case': ['a'] }, '`equals-ignore-case` takes a text, not a list'],
    [{ wildcard: 'a**b' }, '`wildcard`: two stars beside each other are as one: write one'],
    ...['a\\b*', '*\\', 'a\\\\\\b'].map((wildcard): [Record<string, unknown>, string] => [
      { wildcard },
      '`wildcard`: `\\` stands before `*` or another `\\` only: one that is meant is written `\\\\`',
    ]),
    [{ 'anything-but': [] }, 'an empty list excludes nothing'],
    [
      { 'anything-but': { numeric: ['=', 1] } },
      '`anything-but` takes values, or one of { prefix: … }, { suffix: … }, { equals-ignore-case: … }, { wildcard: … }',
    ],
    [{ numeric: ['>'] }, '`numeric` takes a comparison such as ["=", 3], or a range such as [">=", 1, "<", 10]'],
    [{ numeric: ['>', '3'] }, '`numeric` takes a comparison such as ["=", 3], or a range such as [">=", 1, "<", 10]'],
    [{ numeric: ['>', 5, '<', 3] }, '`numeric`: no number is > 5 and < 3'],
    [{ exists: 'yes' }, '`exists` takes true or false'],
    [{ cidr: '10.0.0.0' }, '`cidr`: expected a block such as 10.0.0.0/8 or 2001:db8::/32'],
  ])('%j', (item, message) => {
    expect(faultOf(item)).toEqual([`data.x.1: ${message}`])
  })
})
