import { describe, expect, it } from 'vitest'
import { pointerOf } from '../../src/gemini/job-pointer.ts'
import { isOver, readJob } from '../../src/gemini/job-resource.ts'
import { compileText } from '../../src/route/template.ts'
import { compileValue } from '../../src/route/expression.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

const batch = (metadata: object, more: object = {}) => readJob('batch', { name: 'batches/1', metadata, ...more })

describe('an event points to', () => {
  it.each([
    ['batch.succeeded', 'batches/a1', 'batches/a1'],
    ['batch.failed', 'a1', 'batches/a1'],
    ['batch.whatever', '_.~=a', 'batches/_.~%3Da'],
    ['interaction.completed', 'v1_Chd-x', 'interactions/v1_Chd-x'],
    ['interaction.completed', 'interactions/x', 'interactions/x'],
  ])('of type %s and subject %s: %s', (type, subject, path) => {
    expect(pointerOf({ type, subject })?.path).toBe(path)
  })

  it.each([
    ['video.generated', 'files/1'],
    ['ping', 'x'],
    ['batches', 'batches/1'],
    ['interaction.completed', 'batches/1'],
    ...[
      '../x',
      '..',
      '.',
      'batches/',
      'batches/..',
      'batches/../../v1/models',
      '?key=',
      'a?b',
      'a#b',
      'a/b',
      '%2e%2e',
      'a b',
      'é',
      '',
    ].map((subject) => ['batch.failed', subject]),
    ['batch.failed', 'x'.repeat(257)],
  ])('no job, of type %s and subject %s', (type, subject) => {
    expect(pointerOf({ type: type ?? '', subject: subject ?? '' })).toBeUndefined()
  })
})

describe('a batch', () => {
  it('counts what its answer counts as text, and what it leaves out as none', () => {
    const batchStats = { requestCount: '12', successfulRequestCount: '9', failedRequestCount: 3 }
    expect(batch({ state: 'BATCH_STATE_SUCCEEDED', batchStats })).toMatchObject({
      counts: { total: 12, succeeded: 9, failed: 3, pending: 0 },
    })
  })

  it('has its files, its times and its error where they are', () => {
    expect(
      batch(
        {
          state: 'JOB_STATE_FAILED',
          displayName: 'n',
          model: 'models/m',
          createTime: 'c',
          endTime: 'e',
          output: { responsesFile: 'files/o' },
        },
        { error: { code: 13, message: 'broken', details: [] } },
      ),
    ).toEqual({
      kind: 'batch',
      name: 'batches/1',
      state: 'failed',
      display_name: 'n',
      model: 'models/m',
      counts: { total: 0, succeeded: 0, failed: 0, pending: 0 },
      output_files: ['files/o'],
      create_time: 'c',
      end_time: 'e',
      error: { code: 13, message: 'broken' },
    })
  })

  it.each([
    ['BATCH_STATE_SUCCEEDED', true],
    ['BATCH_STATE_EXPIRED', true],
    ['JOB_STATE_CANCELLED', true],
    ['BATCH_STATE_RUNNING', false],
    ['BATCH_STATE_PENDING', false],
    ['BATCH_STATE_NEW_ONE', false],
  ])('in state %s is over: %s', (state, over) => {
    expect(isOver(batch({ state }))).toBe(over)
  })

  it.each([null, [], 'text', {}, { metadata: [] }, { metadata: { batchStats: 7, output: null, state: 3 } }])(
    'that is %j is empty, and no failure',
    (answer) => {
      expect(readJob('batch', answer)).toMatchObject({ kind: 'batch', name: null, state: null, output_files: [], error: null })
    },
  )
})

describe('an interaction', () => {
  const text = (value: string) => ({ type: 'text', text: value })

  it('is summed up by the text of its outputs, or of the steps of the model', () => {
    const outputs = [text('one'), { type: 'image', data: 'AAAA', mime_type: 'image/png' }, text('two')]
    expect(readJob('interaction', { id: 'x', status: 'completed', created: 'c', updated: 'u', outputs })).toEqual({
      kind: 'interaction',
      id: 'x',
      state: 'completed',
      model: null,
      agent: null,
      create_time: 'c',
      update_time: 'u',
      error: null,
      summary: 'one\ntwo',
      outputs: [text('one'), { type: 'image', mime_type: 'image/png' }, text('two')],
    })
    const steps = [
      { type: 'user_input', content: [text('asked')] },
      { type: 'model_output', content: [text('told')] },
      { type: 'thought' },
    ]
    expect(readJob('interaction', { id: 'x', steps })).toMatchObject({ summary: 'told', outputs: [text('told')] })
  })

  it.each([
    ['x'.repeat(500), 'x'.repeat(500)],
    ['x'.repeat(501), `${'x'.repeat(499)}…`],
    ['😀'.repeat(500), '😀'.repeat(500)],
    ['😀'.repeat(501), `${'😀'.repeat(499)}…`],
    [`x${'😀'.repeat(10_000)}`, `x${'😀'.repeat(498)}…`],
  ])('has a summary of 500 characters at most, none of them in halves', (long, summary) => {
    expect(readJob('interaction', { outputs: [text(long)] })).toMatchObject({ summary })
  })

  it.each([
    ['completed', true],
    ['budget_exceeded', true],
    ['requires_action', false],
    ['queued', false],
  ])('in state %s is over: %s', (status, over) => {
    expect(isOver(readJob('interaction', { status }))).toBe(over)
  })
})

describe('event.resource', () => {
  const event = relayEvent()
  const resource = batch({ state: 'BATCH_STATE_SUCCEEDED', displayName: '<!channel>', batchStats: { requestCount: '2' } })

  it('is empty in a text where there is none, and escaped where there is one', () => {
    const render = compileText('[{{ event.resource.display_name }}{{ event.resource.counts.total }}]', { escape: 'slack' })
    expect([render(event), render(event, null), render(event, resource)]).toEqual(['[]', '[]', '[&lt;!channel&gt;2]'])
  })

  it('is null in an expression where there is none: optional fields of it are, others are missing', () => {
    const optional = compileValue('event.?resource.?display_name.orValue(null)')
    expect([optional(event), optional(event, null), optional(event, resource)]).toEqual([null, null, '<!channel>'])
    const plain = compileValue('event.resource.counts.total')
    expect(plain(event, resource)).toBe(2)
    expect(() => plain(event, null)).toThrow(expect.objectContaining({ code: 'missing' }))
    expect(compileValue('event.resource')(event, resource)).toEqual(resource)
    // One view is kept for the expressions of an event: not that of the event without its job.
    expect(optional(event)).toBe(null)
  })

  it('cannot be taken for a class of the evaluator', () => {
    const odd = readJob('interaction', JSON.parse('{"outputs":[{"constructor":"x","type":"text","text":"t"}]}'))
    expect(compileValue('event.resource.outputs[0].text')(event, odd)).toBe('t')
  })
})
