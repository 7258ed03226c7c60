/**
 * What routing costs as rules are added: one event through `route`, in this process, without anything around it. Most
 * rules of a long list belong to somebody and ask for what is theirs; a few want everything.
 */
import type { RuleConfig } from '../../src/config/schema.ts'
import { eventTypes, exampleEvent } from '../../src/emulator/catalog.ts'
import { readEvent } from '../../src/route/event.ts'
import { compileRules, type Plan } from '../../src/route/plan.ts'
import type { RelayEvent } from '../../src/types.ts'
import type { Bench, Result } from './bench.ts'
import { median, rounded, spread } from './statistics.ts'

const ruleCounts = [1, 10, 100, 1_000]
/** In one measurement; made a few at a time, because keeping them all would be most of what is measured. */
const eventCount = 20_000
const eventsAtOnce = 200
/** The first rounds are the compiler's. */
const warmUpRounds = 3

/** Rules for all come first, then six for each team. */
const shared: readonly RuleConfig[] = [
  { name: 'everything', to: [{ sink: 'jobs' }] },
  { name: 'failures', when: { type: ['batch.failed', 'batch.expired', 'interaction.failed'] }, to: [{ sink: 'ops' }] },
  { name: 'videos', when: { type: 'video.*' }, to: [{ sink: 'stream' }] },
  { name: 'many-errors', if: 'event.data.error_count > 100', to: [{ sink: 'ops' }] },
]

/** As many as 1,000 rules are for; the events are of all of them, also where most have no rule. */
const teamCount = 166

function rulesFor(n: number): RuleConfig[] {
  const team = `team-${n}`
  const to = [{ sink: 'stream' }]
  return [
    {
      name: `${team}-failures`,
      when: { type: ['batch.failed', 'batch.expired'], user_metadata: { team } },
      to: [{ sink: 'ops' }, { sink: 'jobs' }],
    },
    { name: `${team}-all`, when: { user_metadata: { team } }, to },
    { name: `${team}-urgent`, when: { user_metadata: { team, priority: ['high', 'now'] }, type: 'batch.*' }, to },
    { name: `${team}-model`, when: { data: { model: { name: ['pro', 'flash'], owner: team } } }, to },
    { name: `${team}-errors`, when: { user_metadata: { team } }, if: 'event.data.error_count > 10', to },
    { name: `${team}-jobs`, when: { type: `${team}.done` }, if: "event.subject.startsWith('batches/')", to },
  ]
}

const owned: readonly RuleConfig[] = [...shared, ...Array.from({ length: teamCount }, (_, n) => rulesFor(n)).flat()]

/** The escape hatch alone: no pattern says which events a rule can want, so each has to be asked. */
const conditions: readonly RuleConfig[] = Array.from({ length: 1_000 }, (_, n) => ({
  name: `rule-${n}`,
  if: `event.user_metadata.team == 'team-${n}' && event.data.error_count > 10`,
  to: [{ sink: 'stream' }],
}))

/** Of types and teams in turn; only batches count errors. Each is new to `route`, as every event of a running relay is. */
function createEvents(first: number): RelayEvent[] {
  const now = new Date()
  return Array.from({ length: eventsAtOnce }, (_, index) => {
    const n = first + index
    const team = `team-${(n * 7) % teamCount}`
    const type = eventTypes[n % eventTypes.length] ?? 'batch.succeeded'
    const counts = type.startsWith('batch.') ? { error_count: n % 40 } : {}
    const data = { ...counts, model: { name: 'pro', owner: team } }
    const metadata = { team, priority: n % 5 === 0 ? 'high' : 'low' }
    const json = exampleEvent(type, { id: `batches/b${n}`, now, data, metadata })
    return readEvent({ source: 'gemini', webhookId: `msg_${n}`, scheme: 'hmac', receivedAt: now, json }).event
  })
}

/** @returns microseconds an event */
function route(plan: Plan): number {
  let ms = 0
  for (let first = 0; first < eventCount; first += eventsAtOnce) {
    const events = createEvents(first)
    const started = performance.now()
    for (const event of events) plan.route(event)
    ms += performance.now() - started
  }
  return (ms * 1_000) / eventCount
}

function measure(bench: Bench, rules: readonly RuleConfig[]): number[] {
  const plan = compileRules({ rules })
  for (let round = 0; round < warmUpRounds; round++) route(plan)
  return Array.from({ length: bench.repeats }, () => {
    bench.probe()
    return route(plan)
  })
}

export function runRules(bench: Bench): Promise<Result> {
  const times = new Map(ruleCounts.map((count) => [count, measure(bench, owned.slice(0, count))]))
  const conditionTimes = measure(bench, conditions)
  const us = (count: number): number => median(times.get(count) ?? [])
  return Promise.resolve({
    json: {
      ...Object.fromEntries(ruleCounts.map((count) => [`us_${count}`, rounded(us(count))])),
      cost_1000_over_10: rounded(us(1_000) / us(10)),
      us_1000_conditions_alone: rounded(median(conditionTimes)),
    },
    tables: {
      [`Routing one event; medians of ${bench.repeats} (spread)`]: [
        ['rules', 'µs an event', '÷ 10 rules'],
        ...[...times].map(([count, each]) => [String(count), spread(each, 2), (us(count) / us(10)).toFixed(1)]),
        ['1000, each an `if` alone', spread(conditionTimes, 0), (median(conditionTimes) / us(10)).toFixed(0)],
      ],
    },
  })
}
