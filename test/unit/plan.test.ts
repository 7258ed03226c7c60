import { describe, expect, test } from 'vitest'
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
