/**
 * How fast a webhook is taken: the relay's durable 2xx beside a bare Koa that only reads the body (the ceiling) and beside
 * the receiver that one would write by hand. The sinks are away, so that what is measured is accepting alone.
 */
import type { Bench, Result, Table } from './bench.ts'
import { startGenerator, type Generator, type Prepare, type Slice } from './generator.ts'
import { publishKeys, type Keys } from './keys.ts'
import type { Scheme } from './requests.ts'
import { secret, startRelay, startServer, type Target } from './servers.ts'
import { median, rounded, spread } from './statistics.ts'

/** Two rules on every event, to sinks where nobody listens: each event owes two deliveries, and none is made. */
export const acceptYaml = (jwksUri: string): string => `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: /webhooks/gemini
    static: { secrets: ["\${SECRET}"] }
    dynamic: { jwks_uri: "${jwksUri}", audience: bench }
sinks:
  one: { type: http, url: "http://127.0.0.1:9/", allow_private: true }
  two: { type: http, url: "http://127.0.0.1:9/", allow_private: true }
rules:
  - { name: ended, when: { type: [batch.succeeded, batch.failed] }, to: [one] }
  - { name: batches, if: "event.type.startsWith('batch.')", to: [two] }
`

const bodyBytes = 1_024
const sliceSeconds = 4
const warmUpSeconds = 3
/** Of the throughput slices; the first two tell of latency. */
const connectionCounts = [1, 8, 64, 256]

type Contender = 'relay' | 'ceiling' | 'handwritten'

export interface Rates {
  relay_rps: number
  ceiling_rps: number
  handwritten_rps: number
  relay_over_ceiling: number
  relay_over_handwritten: number
  p99_over_handwritten: number
  [figure: string]: unknown
}

/** A slice's window: what it can use up, by what the last one of this server did. */
function windowOf(last: Slice | undefined, seconds: number): number {
  return Math.ceil((last?.perSecond ?? 5_000) * seconds * 1.5)
}

export async function runAccept(bench: Bench): Promise<Result> {
  const keys = await publishKeys()
  const targets: Record<Contender, Target> = {
    relay: await startRelay(acceptYaml(keys.jwksUri), await bench.postgres.createDatabase('accept_relay')),
    ceiling: await startServer('ceiling'),
    handwritten: await startServer('handwritten', {
      DATABASE_URL: await bench.postgres.createDatabase('accept_handwritten'),
      SECRET: secret,
    }),
  }
  const generator = startGenerator()
  try {
    const json: Record<string, unknown> = {}
    const rows: string[][] = []
    const costs: string[][] = []
    for (const connections of connectionCounts) {
      const slices = await compare(bench, generator, targets, keys, connections)
      const rates = ratesOf(slices)
      json[`connections_${connections}`] = rates
      rows.push(rowOf(connections, slices, rates))
      costs.push(costOf(connections, slices))
    }
    const schemes = await compareSchemes(bench, generator, targets.relay, keys)
    json['schemes'] = schemes.json
    return {
      json,
      tables: {
        [`Accept: 1 KB bodies, HMAC, two deliveries owed an event; medians of ${bench.repeats} (spread)`]: [
          [
            'connections',
            'relay /s',
            'ceiling /s',
            'hand-written /s',
            '÷ ceiling',
            '÷ hand-written',
            'p50 ms',
            'p50 ÷ hand-written',
            'p99 ms',
            'p99 ÷ hand-written',
          ],
          ...rows,
        ],
        'The generator itself: CPU microseconds a request': [
          ['connections', 'sending to the relay', 'to the ceiling', 'to the hand-written', 'signing, before a slice'],
          ...costs,
        ],
        'Accept by scheme, 64 connections': schemes.table,
      },
    }
  } finally {
    await generator.stop()
    for (const target of Object.values(targets)) await target.stop()
    await keys.stop()
  }
}

type Slices = Record<Contender, Slice[]>

/** The three in turn, the order rotating from repeat to repeat, so that none always follows the same one. */
async function compare(
  bench: Bench,
  generator: Generator,
  targets: Record<Contender, Target>,
  keys: Keys,
  connections: number,
): Promise<Slices> {
  const slices: Slices = { relay: [], ceiling: [], handwritten: [] }
  const contenders: Contender[] = ['relay', 'ceiling', 'handwritten']
  const last: Partial<Record<Contender, Slice>> = {}
  for (const contender of contenders)
    last[contender] = await sliceOf(generator, targets[contender], keys, 'hmac', connections, warmUpSeconds, undefined)
  for (let repeat = 0; repeat < bench.repeats; repeat++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(repeat + turn) % contenders.length] ?? 'relay'
      bench.probe()
      const slice = await sliceOf(generator, targets[contender], keys, 'hmac', connections, sliceSeconds, last[contender])
      last[contender] = slice
      slices[contender].push(slice)
      bench.say(
        `accept, ${connections} connections, ${repeat + 1}/${bench.repeats}: ${contender} ${Math.round(slice.perSecond)}/s, p50 ${rounded(slice.p50)} ms, p99 ${rounded(slice.p99)} ms`,
      )
    }
  }
  return slices
}

async function sliceOf(
  generator: Generator,
  target: Target,
  keys: Keys,
  scheme: Scheme,
  connections: number,
  seconds: number,
  last: Slice | undefined,
): Promise<Slice> {
  return await generator.slice(prepare(target, keys, scheme, windowOf(last, seconds)), { connections, seconds })
}

export function prepare({ port }: Target, keys: Keys | undefined, scheme: Scheme, window: number): Prepare {
  const { ed25519, rs256 } = keys ?? {}
  return {
    port,
    scheme,
    secret,
    keys: { ...(ed25519 === undefined ? {} : { ed25519 }), ...(rs256 === undefined ? {} : { rs256 }) },
    audience: 'bench',
    bodyBytes,
    window,
  }
}

/** Ratios are those of each repeat, and of them the median: what slowed one repeat slowed both sides of it. */
function paired(a: readonly Slice[], b: readonly Slice[], figure: (slice: Slice) => number): number[] {
  return a.flatMap((slice, n) => {
    const other = b[n]
    return other === undefined ? [] : [figure(slice) / figure(other)]
  })
}

function ratesOf({ relay, ceiling, handwritten }: Slices): Rates {
  const rps = (slices: readonly Slice[]) => rounded(median(slices.map((slice) => slice.perSecond)))
  const ratio = (other: readonly Slice[], figure: (slice: Slice) => number) => rounded(median(paired(relay, other, figure)))
  return {
    relay_rps: rps(relay),
    ceiling_rps: rps(ceiling),
    handwritten_rps: rps(handwritten),
    relay_over_ceiling: ratio(ceiling, (slice) => slice.perSecond),
    relay_over_handwritten: ratio(handwritten, (slice) => slice.perSecond),
    p50_over_handwritten: ratio(handwritten, (slice) => slice.p50),
    p99_over_handwritten: ratio(handwritten, (slice) => slice.p99),
    slices: { relay, ceiling, handwritten },
  }
}

function rowOf(connections: number, { relay, ceiling, handwritten }: Slices, rates: Rates): string[] {
  const rps = (slices: readonly Slice[]) =>
    spread(
      slices.map((slice) => slice.perSecond),
      0,
    )
  return [
    String(connections),
    rps(relay),
    rps(ceiling),
    rps(handwritten),
    spread(
      paired(relay, ceiling, (slice) => slice.perSecond),
      2,
    ),
    spread(
      paired(relay, handwritten, (slice) => slice.perSecond),
      2,
    ),
    spread(
      relay.map((slice) => slice.p50),
      2,
    ),
    String(rates['p50_over_handwritten']),
    spread(
      relay.map((slice) => slice.p99),
      1,
    ),
    String(rates.p99_over_handwritten),
  ]
}

function costOf(connections: number, { relay, ceiling, handwritten }: Slices): string[] {
  const cost = (slices: readonly Slice[]) => median(slices.map((slice) => slice.sendMicros)).toFixed(0)
  return [
    String(connections),
    cost(relay),
    cost(ceiling),
    cost(handwritten),
    median(relay.map((slice) => slice.signMicros)).toFixed(0),
  ]
}

/** Signing an RS256 token costs more than verifying it, so these windows are short. */
const schemeWindow = { hmac: 20_000, ed25519: 15_000, jwt: 6_000 } satisfies Record<Scheme, number>

async function compareSchemes(
  bench: Bench,
  generator: Generator,
  relay: Target,
  keys: Keys,
): Promise<{ json: Record<string, unknown>; table: Table }> {
  const schemes: Scheme[] = ['hmac', 'ed25519', 'jwt']
  const slices: Record<Scheme, Slice[]> = { hmac: [], ed25519: [], jwt: [] }
  for (let repeat = 0; repeat <= bench.repeats; repeat++) {
    for (const scheme of schemes) {
      bench.probe()
      const slice = await generator.slice(prepare(relay, keys, scheme, schemeWindow[scheme]), {
        connections: 64,
        seconds: sliceSeconds,
      })
      if (repeat === 0) continue // warming up
      slices[scheme].push(slice)
      bench.say(`accept, ${scheme}, ${repeat}/${bench.repeats}: ${Math.round(slice.perSecond)}/s`)
    }
  }
  return {
    json: Object.fromEntries(
      schemes.map((scheme) => [`${scheme}_rps`, rounded(median(slices[scheme].map((slice) => slice.perSecond)))]),
    ),
    table: [
      ['scheme', 'relay /s', '÷ hmac', 'p50 ms', 'p99 ms'],
      ...schemes.map((scheme) => [
        scheme,
        spread(
          slices[scheme].map((slice) => slice.perSecond),
          0,
        ),
        median(paired(slices[scheme], slices.hmac, (slice) => slice.perSecond)).toFixed(2),
        median(slices[scheme].map((slice) => slice.p50)).toFixed(1),
        median(slices[scheme].map((slice) => slice.p99)).toFixed(1),
      ]),
    ],
  }
}
