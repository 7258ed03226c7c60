/**
 * Whether the relay gets slower as data grows: accepting, carrying to a table and claiming on a store that is empty and on one
 * that holds millions of events, in turn.
 */
import { claimDeliveries } from '../../src/store/claim.ts'
import { acceptYaml, prepare } from './accept.ts'
import type { Bench, Result } from './bench.ts'
import { startGenerator, type Generator, type Slice } from './generator.ts'
import { jobsSink } from './jobs-table.ts'
import { publishKeys, type Keys } from './keys.ts'
import { forgetOwed, seedPending } from './seed.ts'
import { startRelay, yamlHead } from './servers.ts'
import { median, rounded, spread } from './statistics.ts'
import { createStore, growStore, type Store } from './stores.ts'
import { fromEnv } from './trial.ts'

const events = fromEnv('BENCH_EVENTS', 5_000_000)

const connections = 64
const warmUpSeconds = 3
const sliceSeconds = 4
const acceptWindow = 100_000
const pathWindow = 60_000

/** In memory, a lane of the table sink holds 1,000: so nothing waits in Postgres. */
const pathBacklog = 900
const feedbackMs = 20

const pending = 20_000
const claimLimit = 500
/** Of the claims that take all of them, the first ones meet a connection that has planned nothing. */
const claims = pending / claimLimit
const firstClaims = 5

const pathYaml = `${yamlHead}sinks:
  ${jobsSink()}
rules:
  - { name: rows, to: [jobs] }
`

/** In this order: the last one disturbs what comes after it. */
const names = ['accept', 'path', 'claim', 'claim_retries', 'accept_after_checkpoint'] as const
type Name = (typeof names)[number]

/** Events a second, or of the claims milliseconds. */
interface Pair {
  empty: number
  grown: number
}

interface Tools {
  generator: Generator
  keys: Keys
}

export async function runGrowth(bench: Bench): Promise<Result> {
  const tools = { generator: startGenerator(), keys: await publishKeys() }
  const grown = await createStore(bench, 'growth_grown')
  try {
    await growStore(bench, grown, events)
    const pairs: Record<Name, Pair[]> = { accept: [], path: [], claim: [], claim_retries: [], accept_after_checkpoint: [] }
    for (const name of names) {
      for (let repeat = 0; repeat < bench.repeats; repeat++) {
        const pair = await compare(bench, name, grown, tools, repeat)
        pairs[name].push(pair)
        bench.say(`growth, ${name}, ${repeat + 1}/${bench.repeats}: empty ${rounded(pair.empty)}, grown ${rounded(pair.grown)}`)
      }
    }
    return resultOf(bench, pairs)
  } finally {
    await grown.close()
    await tools.generator.stop()
    await tools.keys.stop()
  }
}

/**
 * One live relay at a time; which store goes first changes from repeat to repeat. Databases that were used are left: dropping
 * one makes a checkpoint.
 */
async function compare(bench: Bench, name: Name, grown: Store, tools: Tools, repeat: number): Promise<Pair> {
  const empty = await createStore(bench, `growth_${name}_${repeat}`)
  try {
    const results = new Map<Store, number>()
    for (const store of repeat % 2 === 0 ? [empty, grown] : [grown, empty]) {
      bench.probe()
      results.set(store, await measure(name, store, tools))
      await forgetOwed(store.client)
    }
    return { empty: results.get(empty) ?? Number.NaN, grown: results.get(grown) ?? Number.NaN }
  } finally {
    await empty.close()
  }
}

function measure(name: Name, store: Store, tools: Tools): Promise<number> {
  if (name === 'accept') return accept(store, tools)
  if (name === 'accept_after_checkpoint') return acceptAfterCheckpoint(store, tools)
  if (name === 'path') return carry(store, tools)
  return claim(store, name === 'claim' ? 'groups' : 'retries')
}

async function accept({ url }: Store, { generator, keys }: Tools): Promise<number> {
  const relay = await startRelay(acceptYaml(keys.jwksUri), url)
  try {
    await generator.slice(prepare(relay, keys, 'hmac', acceptWindow), { connections, seconds: warmUpSeconds })
    const slice = await generator.slice(prepare(relay, keys, 'hmac', acceptWindow), { connections, seconds: sliceSeconds })
    return slice.perSecond
  } finally {
    await relay.stop()
  }
}

/** Each page goes into the WAL whole when it is first changed after a checkpoint, and ids in no order change all of them. */
async function acceptAfterCheckpoint(store: Store, tools: Tools): Promise<number> {
  await store.client.query('checkpoint')
  return await accept(store, tools)
}

/** As many as the table takes: the generator waits for the rows. */
async function carry({ url, jobs }: Store, { generator }: Tools): Promise<number> {
  const relay = await startRelay(pathYaml, url)
  const slice = async (seconds: number): Promise<Slice> => {
    const before = await jobs.arrived()
    const feeding = setInterval(() => {
      void jobs.arrived().then((count) => generator.delivered(count - before))
    }, feedbackMs)
    return await generator
      .slice(prepare(relay, undefined, 'hmac', pathWindow), { connections, seconds, backlog: pathBacklog })
      .finally(() => clearInterval(feeding))
  }
  try {
    await slice(warmUpSeconds)
    return (await slice(sliceSeconds)).perSecond
  } finally {
    await relay.stop()
  }
}

/** @returns milliseconds a claim, from asking to having the deliveries */
async function claim({ client, pool }: Store, how: 'groups' | 'retries'): Promise<number> {
  const owed = { rule: 'rows', sink: 'jobs', events: pending }
  await seedPending(client, how, owed)
  const took: number[] = []
  for (let n = 0; n < claims; n++) {
    const started = performance.now()
    const { deliveries } = await claimDeliveries(pool, {
      sink: owed.sink,
      rules: [owed.rule],
      limit: claimLimit,
      holder: 'bench',
      leaseMs: 30_000,
      leaseMarginMs: 2_000,
    })
    took.push(performance.now() - started)
    if (deliveries.length !== claimLimit) throw new Error(`a claim of ${claimLimit} gave ${deliveries.length}`)
  }
  return median(took.slice(firstClaims))
}

function resultOf(bench: Bench, pairs: Record<Name, Pair[]>): Result {
  const middle = (name: Name, figure: (pair: Pair) => number): number => median(pairs[name].map(figure))
  const ratio = ({ empty, grown }: Pair): number => grown / empty
  return {
    json: {
      events,
      accept_empty_rps: rounded(middle('accept', ({ empty }) => empty)),
      accept_rps: rounded(middle('accept', ({ grown }) => grown)),
      accept_over_empty: rounded(middle('accept', ratio)),
      accept_after_checkpoint_over_empty: rounded(middle('accept_after_checkpoint', ratio)),
      path_empty_rps: rounded(middle('path', ({ empty }) => empty)),
      path_rps: rounded(middle('path', ({ grown }) => grown)),
      path_over_empty: rounded(middle('path', ratio)),
      claim_empty_ms: rounded(middle('claim', ({ empty }) => empty)),
      claim_ms: rounded(middle('claim', ({ grown }) => grown)),
      claim_over_empty: rounded(middle('claim', ratio)),
      claim_retries_empty_ms: rounded(middle('claim_retries', ({ empty }) => empty)),
      claim_retries_ms: rounded(middle('claim_retries', ({ grown }) => grown)),
      claim_retries_over_empty: rounded(middle('claim_retries', ratio)),
      pairs,
    },
    tables: {
      [`Growth: ${events.toLocaleString('en')} events with their deliveries stored; medians of ${bench.repeats} (spread)`]: [
        ['', 'empty', 'grown', '÷ empty'],
        ...names.map((name) => [
          about[name],
          ...[({ empty }: Pair) => empty, ({ grown }: Pair) => grown].map((figure) =>
            spread(pairs[name].map(figure), digits[name]),
          ),
          spread(pairs[name].map(ratio), 2),
        ]),
      ],
    },
  }
}

const about: Record<Name, string> = {
  accept: 'accepted /s, 64 connections',
  path: 'events /s to rows of a table',
  claim: `claiming ${claimLimit} of ${pending.toLocaleString('en')}, ms`,
  claim_retries: 'the same, each after a failure, ms',
  accept_after_checkpoint: 'accepted /s, 3 s after a checkpoint',
}
const digits: Record<Name, number> = { accept: 0, path: 0, claim: 1, claim_retries: 1, accept_after_checkpoint: 0 }
