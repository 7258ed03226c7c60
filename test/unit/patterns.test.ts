import { describe, expect, test } from 'vitest'
import type { Pattern } from '../../src/config/schema.ts'
import { PatternError } from '../../src/route/pattern-tree.ts'
import { compilePattern } from '../../src/route/patterns.ts'
import type { RelayEvent } from '../../src/types.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

const matches = (pattern: Pattern, odd: Partial<RelayEvent> = {}) => compilePattern(pattern)(relayEvent(odd))

function faultsOf(pattern: Pattern) {
  try {
    compilePattern(pattern)
  } catch (error) {
    if (error instanceof PatternError) return error.faults
    throw error
  }
  return []
}

describe('a pattern', () => {
  test('without fields matches everything', () => {
    expect(matches({})).toBe(true)
  })

  test('matches by every field it names', () => {
    expect(matches({ type: 'batch.failed', source: 'gemini' })).toBe(true)
    expect(matches({ type: 'batch.failed', source: 'other' })).toBe(false)
  })

  test('matches by any member of a list', () => {
    expect(matches({ type: ['batch.expired', 'batch.failed'] })).toBe(true)
    expect(matches({ type: ['batch.expired', 'interaction.failed'] })).toBe(false)
    expect(matches({ scheme: ['jwt', 'hmac'] })).toBe(true)
  })

  test('looks into data and user_metadata as deep as it goes', () => {
    const data = { error: { code: 13, fatal: true, detail: null } }
    expect(matches({ data: { error: { code: [12, 13], fatal: true, detail: null } } }, { data })).toBe(true)
    expect(matches({ data: { error: { code: 12 } } }, { data })).toBe(false)
    expect(matches({ user_metadata: { priority: ['high'] } }, { user_metadata: { priority: 'high' } })).toBe(true)
  })

  test.each([
    [1, '1'],
    ['1', 1],
    [true, 'true'],
    [null, ''],
    [0, false],
  ])('takes %j for no other type, as %j', (wanted, found) => {
    expect(matches({ data: { x: wanted } }, { data: { x: found } })).toBe(false)
    expect(matches({ data: { x: wanted } }, { data: { x: wanted } })).toBe(true)
  })

  test('matches no field that is missing, not even by null', () => {
    expect(matches({ data: { x: null } }, { data: {} })).toBe(false)
    expect(matches({ data: { x: 1 } }, { data: null })).toBe(false)
    expect(matches({ data: { x: 1 } }, { data: 'text' })).toBe(false)
    expect(matches({ data: { toString: ['x'], constructor: { name: 'Object' } } }, { data: {} })).toBe(false)
  })

  test('matches a list of the event by any of its members', () => {
    expect(matches({ data: { tags: ['urgent', 'red'] } }, { data: { tags: ['blue', 'red'] } })).toBe(true)
    expect(matches({ data: { tags: 'green' } }, { data: { tags: ['blue', 'red'] } })).toBe(false)
    expect(matches({ data: { files: { id: 'b' } } }, { data: { files: [{ id: 'a' }, { id: 'b' }] } })).toBe(true)
  })

  test('takes batch.completed and batch.succeeded for the same', () => {
    expect(matches({ type: 'batch.completed' }, { type: 'batch.succeeded' })).toBe(true)
    expect(matches({ type: ['batch.succeeded'] }, { type: 'batch.completed' })).toBe(true)
    expect(matches({ type: 'interaction.completed' }, { type: 'interaction.succeeded' })).toBe(false)
  })

  test('survives data nested a hundred thousand deep', () => {
    const data: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)
    expect(matches({ data: { x: { y: 1 } } }, { data })).toBe(false)
  })
})

describe('a glob of types', () => {
  test.each([
    ['batch.*', 'batch.failed', true],
    ['batch.*', 'batch.failed.again', true],
    ['batch.*', 'batch.', true],
    ['batch.*', 'batch', false],
    ['*.failed', 'interaction.failed', true],
    ['*.failed', 'interaction.failed.x', false],
    ['*', 'relay.unrecognized', true],
    ['b*h.*d', 'batch.failed', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*a*b*', 'xxaxxbxx', true],
    ['*b*a*', 'ab', false],
    ['batch.?ailed', 'batch.failed', false],
    ['b.tch', 'batch', false],
  ])('%s on %s: %j', (type, actual, expected) => {
    expect(matches({ type }, { type: actual })).toBe(expected)
  })

  test('means itself in other fields', () => {
    expect(matches({ subject: 'batches/*' }, { subject: 'batches/b1' })).toBe(false)
    expect(matches({ subject: 'batches/*' }, { subject: 'batches/*' })).toBe(true)
  })
})

describe('a pattern that can match nothing is refused', () => {
  test('for a field that no event has', () => {
    expect(faultsOf({ typ: 'x', datum: { a: 1 } })).toEqual([
      { path: ['typ'], message: 'unknown field `typ`, did you mean `type`?' },
      { path: ['datum'], message: 'unknown field `datum`, did you mean `data`?' },
    ])
  })

  test('for fields where there are none, and none where there are', () => {
    expect(faultsOf({ type: { a: 1 }, user_metadata: 'high' }).map(({ message }) => message)).toEqual([
      '`type` is text: expected a value or a list of values',
      '`user_metadata` holds fields: expected a map',
    ])
  })

  test('for a value that text never has', () => {
    expect(faultsOf({ version: 1 })).toEqual([
      { path: ['version'], message: '`version` is text: 1 never matches, quote it if text is meant' },
    ])
    expect(faultsOf({ type: [null] })).toHaveLength(1)
    expect(faultsOf({ timestamp: null })).toEqual([])
  })
})
