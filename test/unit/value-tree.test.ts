import { describe, expect, it } from 'vitest'
import { ExpressionError } from '../../src/route/expression.ts'
import { compileValueTree } from '../../src/route/value-tree.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

const event = relayEvent({ subject: 'batches/b1', type: 'batch.failed', data: { id: 'b1', count: 3 } })

describe('a value', () => {
  it.each([
    ['event.subject', 'batches/b1'],
    ['{"job": event.subject, "n": 9007199254740993}', { job: 'batches/b1', n: '9007199254740993' }],
    ['timestamp(event.timestamp)', '2026-11-20T10:00:00.000Z'],
    ['b"\\x00\\xff"', 'AP8='],
    ['event.data.?missing', null],
    ['event.data', { id: 'b1', count: 3 }],
  ])('of %s is %j', (source, expected) => {
    expect(compileValueTree(source, 'value')(event)).toEqual(expected)
  })

  it('written as a map or a list has an expression in each text, and leaves the rest as it is', () => {
    const tree = { job: 'event.subject', literal: "'done'", n: 1, none: null, deep: [{ type: 'event.type' }, true] }
    expect(compileValueTree(tree, 'value')(event)).toEqual({
      job: 'batches/b1',
      literal: 'done',
      n: 1,
      none: null,
      deep: [{ type: 'batch.failed' }, true],
    })
  })

  it('says which of its expressions failed', () => {
    const evaluate = compileValueTree({ jobs: ['event.subject', { code: 'event.data.error_code' }] }, 'value')
    expect(() => evaluate(event)).toThrow(
      expect.objectContaining({ code: 'missing', message: expect.stringMatching(/^value\.jobs\[1\]\.code: /) }),
    )
  })

  it('does not compile where one of its texts does not', () => {
    expect(() => compileValueTree({ a: 'event.subject', b: 'event.typ' }, 'value')).toThrow(ExpressionError)
  })

  it('has the steps of one expression, however many it holds', () => {
    const copy = 'event.data.items.map(item, item)'
    const full = relayEvent({ data: { items: Array.from({ length: 20_000 }, (_, n) => n) } })
    const tree = (copies: number) => Array.from({ length: copies }, () => copy)
    expect(compileValueTree(tree(1), 'value')(full)).toHaveLength(1)
    expect(() => compileValueTree(tree(50), 'value')(full)).toThrow(
      expect.objectContaining({ code: 'limit', message: expect.stringContaining('more than the 1,500,000 steps') }),
    )
    expect(() => compileValueTree(tree(5_000), 'value')).toThrow(
      expect.objectContaining({ code: 'limit', message: expect.stringContaining('even with a small event') }),
    )
  })
})
