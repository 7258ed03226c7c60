/** The timeline of one event over all parts: senders, database, sinks, the relays' logs, and the faults meanwhile. */
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { InjectedFault } from './injector.ts'
import type { Sending } from './ledger.ts'
import type { Rig } from './rig.ts'
import { relayDatabase, withClient } from './tables.ts'

interface Line {
  at: number
  text: string
}

/** Faults are told from so long before the event was sent until so long after the last other line. */
const contextMs = 3_000

const sinkNames = ['forward', 'refuser', 'ordered', 'guest', 'ops', 'stream']

/** @param begun of the run, milliseconds since the epoch: a story counts from there */
export async function tellStories(
  rig: Rig,
  faults: readonly InjectedFault[],
  ids: readonly string[],
  begun: number,
): Promise<Map<string, string[]>> {
  const lines = new Map(ids.map((id): [string, Line[]] => [id, [...sent(rig, id), ...arrived(rig, id)]]))
  await withClient(rig.postgres.url(relayDatabase), async (client) => {
    for (const [id, story] of lines) story.push(...(await stored((text) => client.query<StoredLine>(text, [id]))))
  }).catch((error: unknown) => {
    for (const story of lines.values()) story.push({ at: Date.now(), text: `database: cannot be asked: ${String(error)}` })
  })
  for (const name of ['a', 'b']) await logged(join(rig.dir, 'logs', `relay-${name}.log`), `relay ${name}`, lines)
  return new Map([...lines].map(([id, story]) => [id, told(story, faults, begun)]))
}

function told(story: Line[], faults: readonly InjectedFault[], begun: number): string[] {
  const times = story.map(({ at }) => at)
  const [first, last] = [Math.min(...times) - contextMs, Math.max(...times) + contextMs]
  const meanwhile = faults.filter(({ at }) => at >= first && at <= last).map(({ at, what }) => ({ at, text: `fault: ${what}` }))
  return [...story, ...meanwhile]
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, text }) => `${((at - begun) / 1_000).toFixed(3).padStart(9)} s  ${text}`)
}

function sent({ ledger }: Rig, id: string): Line[] {
  const entry = ledger.entries.get(id)
  const begun =
    entry === undefined
      ? []
      : [
          {
            at: entry.firstSentAt,
            text: `sender: first sent, ${entry.message.kind}, ${entry.message.scheme}, about ${entry.message.subject}`,
          },
        ]
  const forged = ledger.forgeries.filter((forgery) => forgery.id === id)
  const describe =
    (how: string) =>
    ({ at, relay, status, answer, tookMs }: Sending) => ({
      at,
      text: `sender${how} → ${relay}: ${status === 0 ? 'no answer' : status} ${answer} after ${tookMs} ms`,
    })
  return [
    ...begun,
    ...(entry?.sendings.map(describe('')) ?? []),
    ...forged.flatMap(({ how, sendings }) => sendings.map(describe(` (forged: ${how})`))),
  ]
}

function arrived({ arrivals }: Rig, id: string): Line[] {
  return sinkNames.flatMap((sink) =>
    arrivals.of(sink, id).map(({ at, rule, taken, payload }) => ({
      at,
      text: `sink ${sink}: ${taken ? 'taken' : 'not taken'}${rule === '' ? '' : `, rule ${rule}`}, ${payload.slice(0, 12)}`,
    })),
  )
}

interface StoredLine {
  at: Date
  text: string
}

const storedLines = `
with event as (select * from gemini_relay.events where webhook_id = $1),
  delivery as (select d.* from gemini_relay.deliveries d where d.event_id in (select id from event))
select received_at as at, 'database: event ' || id || ', sha256 ' || left(encode(sha256(body), 'hex'), 12) as text from event
union all
select created_at, 'database: delivery ' || id || ' of ' || rule || ' → ' || sink || ' was made, by now ' || state || coalesce(' (' || code || ')', '')
  || ', attempts ' || attempts || ', takeovers ' || takeovers || coalesce(', lease ' || lease, '') from delivery
union all
select ended_at, 'database: delivery ' || id || ' of ' || rule || ' → ' || sink || ' ended ' || state from delivery where ended_at is not null
union all
select a.ended_at, 'database: attempt ' || a.number || ' of delivery ' || a.delivery_id || ' failed: ' || a.code || ' ' || a.message
from gemini_relay.attempts a where a.delivery_id in (select id from delivery)
union all
select at, 'database: a write of its row in seen' from seen_writes where webhook_id = $1`

async function stored(query: (text: string) => Promise<{ rows: StoredLine[] }>): Promise<Line[]> {
  const { rows } = await query(storedLines)
  return rows.map(({ at, text }) => ({ at: at.getTime(), text }))
}

/** Lines that name the event or, as far as the story knows them, its deliveries. */
async function logged(file: string, name: string, stories: ReadonlyMap<string, Line[]>): Promise<void> {
  const wanted = [...stories].map(([id, story]) => {
    const deliveries = new Set(story.flatMap(({ text }) => /^database: delivery (\d+) /.exec(text)?.[1] ?? []))
    return { id, story, deliveries }
  })
  for await (const line of createInterface({ input: createReadStream(file) })) {
    for (const { id, story, deliveries } of wanted) {
      const named = line.includes(id) || [...line.matchAll(/"(\d+)"/g)].some(([, number = '']) => deliveries.has(number))
      const at = named ? Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? '') : Number.NaN
      if (!Number.isNaN(at)) story.push({ at, text: `${name}: ${line.slice(0, 400)}` })
    }
  }
}
