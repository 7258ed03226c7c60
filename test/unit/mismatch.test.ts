import { describe, expect, test } from 'vitest'
import type { Pattern } from '../../src/config/schema.ts'
import { explainPattern } from '../../src/route/mismatch.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

const event = relayEvent({ type: 'batch.failed', data: { id: 'b1', error: { code: 13 }, files: [{ id: 'x' }], tags: ['a'] } })
const why = (pattern: Pattern) => explainPattern(pattern)(event)

describe('why an event does not match', () => {
  test('is nothing where it does', () => {
    expect(why({})).toBeUndefined()
    expect(why({ type: 'batch.*', data: { error: { code: [{ numeric: ['>', 5] }] } } })).toBeUndefined()
    expect(why({ $or: [{ source: 'nobody' }, { type: 'batch.failed' }] })).toBeUndefined()
  })

  test.each<[string, Pattern, unknown]>([
    [
      'the first field that differs',
      { source: 'gemini', type: 'video.*', subject: 'x' },
      { path: 'type', wanted: 'video.*', seen: 'batch.failed' },
    ],
    [
      'deep inside',
      { data: { error: { code: [12, { prefix: 'x' }] } } },
      { path: 'data.error.code', wanted: [12, { prefix: 'x' }], seen: 13 },
    ],
    ['a field that is missing', { data: { error: { text: 'x' } } }, { path: 'data.error.text', wanted: 'x' }],
    ['a way that is missing', { data: { output: { uri: 'x' } } }, { path: 'data.output.uri', wanted: 'x' }],
    [
      'a field that is there',
      { data: { error: [{ exists: false }] } },
      { path: 'data.error', wanted: [{ exists: false }], seen: { code: 13 } },
    ],
    ['a list', { data: { tags: ['b'] } }, { path: 'data.tags', wanted: ['b'], seen: ['a'] }],
    ['a list of maps', { data: { files: { id: 'y' } } }, { path: 'data.files.id', wanted: 'y', seen: 'x' }],
    [
      'every alternative',
      { $or: [{ source: 'nobody' }, { data: { id: 'b2' } }] },
      {
        path: '$or',
        alternatives: [
          { path: 'source', wanted: 'nobody', seen: 'gemini' },
          { path: 'data.id', wanted: 'b2', seen: 'b1' },
        ],
      },
    ],
  ])('%s', (_, pattern, expected) => {
    expect(why(pattern)).toEqual(expected)
  })
})
