import { beforeEach, expect, it } from 'vitest'
import { createJobCache, type JobCache } from '../../src/gemini/job-cache.ts'

let now: number
let cache: JobCache
const gone = { resource: null, asOf: 0 }

beforeEach(() => {
  now = 0
  cache = createJobCache({ maxEntries: 3, maxBytes: 400, now: () => now })
})

const known = () => ['a', 'b', 'c', 'd', 'e'].filter((path) => cache.get(path) !== undefined).join('')

it('keeps a job for its time', () => {
  cache.set('a', gone, 10, 1)
  now = 9
  expect(cache.get('a')).toBe(gone)
  now = 10
  expect(cache.get('a')).toBeUndefined()
})

it('forgets the one that was not asked for longest when there are too many', () => {
  for (const path of ['a', 'b', 'c']) cache.set(path, gone, 10, 1)
  cache.get('a')
  cache.set('d', gone, 10, 1)
  expect(known()).toBe('acd')
})

it('forgets as many as it takes when they are too large, and counts one anew that is set again', () => {
  for (const path of ['a', 'b', 'c']) cache.set(path, gone, 10, 100)
  for (let n = 0; n < 10; n++) cache.set('a', gone, 10, 100)
  expect(known()).toBe('abc')
  cache = createJobCache({ maxEntries: 100, maxBytes: 400, now: () => now })
  for (const path of ['a', 'b', 'c', 'd', 'e']) cache.set(path, gone, 10, 100)
  expect(known()).toBe('bcde')
})

it('does not keep one that would push most others out, nor what it replaces', () => {
  cache.set('a', gone, 10, 1)
  cache.set('b', gone, 10, 1)
  cache.set('a', gone, 10, 101)
  expect(known()).toBe('b')
})
