import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { boolArray, byteaArray, int8Array, textArray, timestamptzArray } from '../../src/store/binary-array.ts'

let db: pg.Client
beforeAll(async () => {
  db = new pg.Client({ connectionString: inject('databaseUrl') })
  await db.connect()
})
afterAll(() => db.end())

/** What Postgres makes of a parameter, element by element. */
async function read(array: Buffer, type: string): Promise<unknown[]> {
  const { rows } = await db.query<{ value: unknown }>(`select value from unnest($1::${type}[]) as t (value)`, [array])
  return rows.map(({ value }) => value)
}

it.each([
  ['text', textArray([])],
  ['bytea', byteaArray([])],
  ['int8', int8Array([])],
  ['bool', boolArray([])],
  ['timestamptz', timestamptzArray([])],
])('no elements of %s are an empty array', async (type, array) => {
  expect(await read(array, type)).toEqual([])
})

it('carries text of any length and script, and null', async () => {
  const texts = ['', 'a', null, 'äöü', '🚀', '"{}\\,NULL', 'NULL', '\n\t', 'x'.repeat(100_000), null]
  expect(await read(textArray(texts), 'text')).toEqual(texts)
})

it('carries half a surrogate pair as the replacement character, and shifts nothing after it', async () => {
  expect(await read(textArray(['\uD800', 'a\uDFFFb', 'c']), 'text')).toEqual(['\uFFFD', 'a\uFFFDb', 'c'])
})

it('carries bytes of every value, and null', async () => {
  const bytes = [Buffer.from(Array.from({ length: 256 }, (_, n) => n)), Buffer.alloc(0), null, Buffer.alloc(70_000, 0xff)]
  expect(await read(byteaArray(bytes), 'bytea')).toEqual(bytes)
})

it('carries integers from digits, numbers and bigints over the whole range', async () => {
  const values = ['9223372036854775807', -9_223_372_036_854_775_808n, 0, -1, null, Number.MAX_SAFE_INTEGER]
  expect(await read(int8Array(values), 'int8')).toEqual(values.map((value) => (value === null ? null : String(value))))
})

it('throws for an integer that has no place, instead of sending another one', () => {
  expect(() => int8Array(['9223372036854775808'])).toThrow(RangeError)
  expect(() => int8Array([1.5])).toThrow(RangeError)
})

it('carries booleans', async () => {
  expect(await read(boolArray([true, false, null]), 'bool')).toEqual([true, false, null])
})

describe('dates', () => {
  it('before and after the epochs of Unix and Postgres, to the millisecond', async () => {
    const dates = [
      '0001-01-01T00:00:00.000Z',
      '1969-12-31T23:59:59.999Z',
      '1999-12-31T23:59:59.999Z',
      '2026-11-21T10:00:00.123Z',
      '9999-12-31T23:59:59.999Z',
    ]
    const { rows } = await db.query<{ ms: string }>(
      'select (extract(epoch from value) * 1000)::int8 as ms from unnest($1::timestamptz[]) as t (value)',
      [timestamptzArray(dates.map((date) => new Date(date)))],
    )
    expect(rows.map(({ ms }) => Number(ms))).toEqual(dates.map((date) => Date.parse(date)))
  })

  it('that are none throw', () => {
    expect(() => timestamptzArray([new Date(Number.NaN)])).toThrow(RangeError)
  })
})
