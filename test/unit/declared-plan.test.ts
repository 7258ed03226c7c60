/** What a plan makes of what is declared, what there is at Gemini and what the store knows. */
import { describe, expect, it } from 'vitest'
import { declarationsOf, planWebhooks, type Declaration, type Situation } from '../../src/gemini/declared.ts'
import type { GeminiWebhook } from '../../src/gemini/webhook-service.ts'
import { planText } from '../../src/cli/webhooks/plan-text.ts'

const uri = 'https://relay.example.com/hook'
const relay: Declaration = { name: 'relay', source: 'gemini', uri, events: ['batch.succeeded', 'batch.failed'] }

/** As declared, with the secret `…here`. */
function webhook(id: string, change: Partial<GeminiWebhook> = {}): GeminiWebhook {
  return {
    id,
    name: 'relay',
    uri,
    state: 'enabled',
    subscribed_events: ['batch.failed', 'batch.succeeded'],
    create_time: `2026-11-0${id.length}T00:00:00Z`,
    signing_secrets: [{ truncated_secret: 'whsec_...here' }],
    ...change,
  }
}

const ours = (id: string, name: string | null = 'relay', source = 'gemini') => ({ id, name, source })

function plan(situation: Partial<Situation>) {
  const holds: Situation['holds'] = (source, truncated) => source === 'gemini' && truncated === 'whsec_...here'
  return planWebhooks({ declared: [relay], live: [], endpoints: [], holds, ...situation })
}

function kinds(situation: Partial<Situation>): unknown[] {
  return plan(situation).webhooks.flatMap(({ actions }) =>
    actions.map((action) => ('id' in action ? `${action.kind} ${action.id}` : action.kind)),
  )
}

describe('one that is in the store', () => {
  const endpoints = [ours('a')]

  it('is left alone where it is as declared, whatever the order of its events', () => {
    expect(kinds({ live: [webhook('a')], endpoints })).toEqual([])
    expect(planText(plan({ live: [webhook('a')], endpoints }), 'kept')).toBe(
      '= unchanged relay\nnothing to do: all webhooks are as declared',
    )
  })

  it('is updated in what differs', () => {
    const live = [
      webhook('a', { uri: 'https://old.example.com/', name: 'x', subscribed_events: ['batch.failed', 'video.generated'] }),
    ]
    const { webhooks } = plan({ live, endpoints })
    expect(webhooks[0]?.actions).toMatchObject([
      { kind: 'update', change: { uri, name: 'relay', subscribed_events: ['batch.succeeded', 'batch.failed'] } },
    ])
    expect(planText(plan({ live, endpoints }), 'kept')).toBe(
      `~ update relay: uri: https://old.example.com/ → ${uri}, events: +batch.succeeded -video.generated, name: x → relay\n` +
        '0 to create, 1 to update, 0 to delete',
    )
  })

  it.each([
    ['disabled_due_to_failed_deliveries', '! enable relay (Gemini disabled it: its deliveries failed)'],
    ['disabled', '! enable relay (it was disabled by hand)'],
    ['paused', '! enable relay (it is paused)'],
  ])('is enabled where it is %s', (state, line) => {
    expect(planText(plan({ live: [webhook('a', { state })], endpoints }), 'kept')).toContain(line)
  })

  it('gets a new secret where none that lasts is known, and before it is enabled', () => {
    const unknown = { truncated_secret: 'whsec_...else' }
    const ending = { truncated_secret: 'whsec_...here', expire_time: '2026-11-22T00:00:00Z' }
    const secrets = (...signing_secrets: GeminiWebhook['signing_secrets']) =>
      plan({ live: [webhook('a', { signing_secrets, state: 'disabled' })], endpoints }).webhooks[0]?.actions
    expect(secrets(unknown)).toMatchObject([{ kind: 'rotate', previous: 'unknown' }, { kind: 'enable' }])
    expect(secrets(unknown, ending)).toMatchObject([{ kind: 'rotate', previous: 'known' }, { kind: 'enable' }])
    expect(secrets({ truncated_secret: 'whsec_...here' }, unknown)).toMatchObject([{ kind: 'enable' }])
    expect(secrets(ending)).toMatchObject([{ kind: 'enable' }])
  })

  it('is made anew where it is gone at Gemini', () => {
    expect(kinds({ endpoints })).toEqual(['forget a', 'create'])
  })

  it('moves to another source, whose secret it needs', () => {
    expect(kinds({ declared: [{ ...relay, source: 'other' }], live: [webhook('a')], endpoints })).toEqual(['move a', 'rotate a'])
  })
})

describe('one that is not in the store', () => {
  it('is made where none has its address', () => {
    expect(kinds({ live: [webhook('a', { uri: `${uri}/` })] })).toEqual(['create'])
  })

  it('is found by its address, and its secret is rotated although it may be known', () => {
    expect(kinds({ live: [webhook('a')] })).toEqual(['adopt a', 'rotate a'])
  })

  it('is the oldest enabled one of several, and the others are told', () => {
    const live = [webhook('aaa'), webhook('bb'), webhook('c', { state: 'disabled' })]
    expect(kinds({ live })).toEqual(['adopt bb', 'rotate bb'])
    expect(plan({ live }).webhooks[0]?.others.map(({ id }) => id)).toEqual(['aaa', 'c'])
    expect(planText(plan({ live }), 'kept')).toContain('webhook aaa relay calls the same address, and is left alone')
  })

  it('is the one that was made by hand with its secret here, which needs no other', () => {
    expect(kinds({ live: [webhook('aaa'), webhook('b')], endpoints: [ours('aaa', null)] })).toEqual(['adopt aaa'])
  })

  it('is never one of another declaration', () => {
    const other = { ...relay, name: 'other', uri: 'https://other.example.com/' }
    const live = [webhook('a', { name: 'other' })]
    expect(kinds({ declared: [relay, other], live, endpoints: [ours('a', 'other')] })).toEqual(['create', 'update a'])
  })
})

describe('one that is no longer declared', () => {
  const gone = { declared: [], endpoints: [ours('a'), ours('b'), ours('c', null)], live: [webhook('a'), webhook('c')] }

  it('is kept unless it is asked to go, and never one that was made by hand', () => {
    expect(plan(gone).undeclared.map(({ endpoint, webhook: live }) => [endpoint.id, live?.id])).toEqual([
      ['a', 'a'],
      ['b', undefined],
    ])
    expect(planText(plan(gone), 'kept').split('\n')).toEqual([
      '- no longer declared: relay, webhook a (kept; --prune deletes it)',
      '- forget relay: webhook b is gone at Gemini, and no longer declared',
      '0 to create, 0 to update, 1 to forget, 0 to delete',
    ])
    expect(planText(plan(gone), 'deleted')).toContain('1 to delete')
  })
})

describe('the events of a declaration', () => {
  const rule = (when: Record<string, string | string[]>) => ({ name: 'r', when, to: [{ sink: 's' }] })
  const gemini = (events?: string[]) => ({
    webhooks: { relay: { uri, source: 'gemini', ...(events === undefined ? {} : { events }) } },
    enrich: { budget: { count: 5, perMs: 1_000 }, timeout: 5_000 },
  })

  it('are those that the rules want, unless it names them', () => {
    const rules = [rule({ type: 'batch.*' }), rule({ type: 'video.generated', source: 'other' })]
    const events = (named?: string[]) => declarationsOf({ gemini: gemini(named), rules })[0]?.events
    expect(events()).toEqual(['batch.succeeded', 'batch.expired', 'batch.failed'])
    expect(events(['batch.cancelled'])).toEqual(['batch.cancelled'])
  })

  it('are some: none is a mistake', () => {
    expect(() => declarationsOf({ gemini: gemini(), rules: [rule({ type: 'relay.unrecognized' })] })).toThrow(
      'gemini.webhooks.relay: no rule wants an event of the source gemini',
    )
  })
})
