import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Pattern, PatternNode } from '../../src/config/schema.ts'
import { compilePattern } from '../../src/route/patterns.ts'
import { compileRules } from '../../src/route/plan.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

const to = [{ sink: 'jobs' }, { sink: 'stream' }]

describe('routing an event', () => {
  test('gives a delivery for every sink of every rule that wants it, in order', () => {
    const plan = compileRules({
      rules: [
        { name: 'failures', when: { type: '*.failed' }, to: [{ sink: 'ops' }] },
        { name: 'videos', when: { type: 'video.*' }, to },
        { name: 'everything', to },
      ],
    })
    expect(plan.route(relayEvent({ type: 'batch.failed' }))).toEqual([
      { rule: 'failures', sink: 'ops' },
      { rule: 'everything', sink: 'jobs' },
      { rule: 'everything', sink: 'stream' },
    ])
  })

  test('needs both the pattern and the condition of a rule', () => {
    const plan = compileRules({
      rules: [{ name: 'urgent', when: { type: 'batch.*' }, if: 'event.data.error_count > 10', to: [{ sink: 'ops' }] }],
    })
    expect(plan.route(relayEvent({ type: 'batch.failed', data: { error_count: 11 } }))).toHaveLength(1)
    expect(plan.route(relayEvent({ type: 'batch.failed', data: { error_count: 9 } }))).toEqual([])
    expect(plan.route(relayEvent({ type: 'video.generated', data: { error_count: 11 } }))).toEqual([])
    expect(plan.route(relayEvent({ type: 'batch.failed', data: {} }))).toEqual([])
  })

  test('sends what is no envelope to the rules without a pattern', () => {
    const plan = compileRules({
      rules: [
        { name: 'batches', when: { type: 'batch.*' }, to },
        { name: 'everything', to },
      ],
    })
    expect(plan.route(relayEvent({ type: 'relay.unrecognized', data: null })).map(({ rule }) => rule)).toEqual([
      'everything',
      'everything',
    ])
  })

  test('that no rule wants gives nothing', () => {
    expect(compileRules({ rules: [] }).route(relayEvent())).toEqual([])
  })

  test('makes the deliveries of a rule whose condition fails dead, and only those', () => {
    const plan = compileRules({
      rules: [
        { name: 'broken', if: 'event.data.error_count > 10', to },
        { name: 'everything', to: [{ sink: 'jobs' }] },
      ],
    })
    const dead = { code: 'condition_error', message: expect.stringContaining('no such overload') }
    expect(plan.route(relayEvent({ data: { error_count: 'many' } }))).toEqual([
      { rule: 'broken', sink: 'jobs', dead },
      { rule: 'broken', sink: 'stream', dead },
      { rule: 'everything', sink: 'jobs' },
    ])
  })

  test('does not try the condition of a rule whose pattern does not match', () => {
    const plan = compileRules({ rules: [{ name: 'broken', when: { type: 'video.*' }, if: '1 / 0 == 1', to }] })
    expect(plan.route(relayEvent({ type: 'batch.failed' }))).toEqual([])
  })

  test('says which rules feed which sinks', () => {
    expect(compileRules({ rules: [{ name: 'everything', to }] }).rules).toEqual([
      { name: 'everything', sinks: ['jobs', 'stream'] },
    ])
  })
})

describe('routing by many rules', () => {
  const scalar = fc.constantFrom('a', 'b', '1', 1, 0, -0, true, null)
  const operator = fc.constantFrom({ prefix: 'a' }, { 'anything-but': ['a', 1] }, { exists: true }, { exists: false })
  const name = fc.constantFrom('x', 'y', 'constructor', '__proto__')
  const mapOf = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
    fc.array(fc.tuple(name, values), { maxLength: 2 }).map((entries) => Object.fromEntries(entries))

  const { node } = fc.letrec<{ node: PatternNode }>((tie) => ({
    node: fc.oneof({ maxDepth: 3 }, scalar, fc.array(fc.oneof(scalar, scalar, operator), { maxLength: 3 }), mapOf(tie('node'))),
  }))
  const type = fc.constantFrom('batch.succeeded', 'batch.completed', 'batch.failed', 'video.generated', 'constructor')
  const wantedType = fc.oneof(type, type, fc.constantFrom('batch.*', '*.failed', '*'))
  const typeOperator = fc.constantFrom({ prefix: 'batch.s' }, { 'anything-but': 'batch.succeeded' }, { suffix: '.failed' })
  const fields: fc.Arbitrary<Pattern> = fc.record(
    {
      type: fc.oneof(wantedType, fc.array(fc.oneof(wantedType, wantedType, typeOperator), { maxLength: 3 })),
      version: fc.constantFrom('v1', null),
      data: mapOf(node),
      user_metadata: mapOf(node),
    },
    { requiredKeys: [] },
  )
  const oneField = fields.filter((one) => Object.keys(one).length > 0)
  const pattern: fc.Arbitrary<Pattern> = fc.oneof(
    fields,
    fields,
    fc.tuple(fields, fc.array(oneField, { minLength: 2, maxLength: 3 })).map(([beside, $or]) => ({ ...beside, $or })),
  )

  const { json } = fc.letrec((tie) => ({
    json: fc.oneof({ maxDepth: 4 }, scalar, fc.array(tie('json'), { maxLength: 3 }), mapOf(tie('json'))),
  }))
  const event = fc
    .record({ type, version: fc.constantFrom('v1', 'v2', null), data: json, user_metadata: mapOf(json) })
    .map(relayEvent)

  test('gives what trying them one by one gives', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(pattern, { nil: undefined }), { maxLength: 24, size: 'max' }),
        event,
        (patterns, received) => {
          const rules = patterns.map((when, n) => ({ name: `rule-${n}`, to, ...(when === undefined ? {} : { when }) }))
          const wanted = rules.filter(({ when }) => when === undefined || compilePattern(when)(received))
          expect(compileRules({ rules }).route(received)).toEqual(
            wanted.flatMap((rule) => to.map(({ sink }) => ({ rule: rule.name, sink }))),
          )
        },
      ),
      { numRuns: 1_000 },
    )
  })

  test('gives each rule once, however many of its values a list of the event holds', () => {
    const plan = compileRules({
      rules: [
        { name: 'tags', when: { data: { tags: ['a', 'b'] } }, to: [{ sink: 'ops' }] },
        { name: 'everything', to: [{ sink: 'jobs' }] },
        { name: 'files', when: { data: { files: { id: ['a', 'b'] } } }, to: [{ sink: 'ops' }] },
      ],
    })
    const data = { tags: ['b', 'a', 'b'], files: [{ id: 'a' }, { id: ['b'] }] }
    expect(plan.route(relayEvent({ data })).map(({ rule }) => rule)).toEqual(['tags', 'everything', 'files'])
  })
})
