import type { Command } from 'commander'
import { loadConfig, type LoadedConfig } from '../config/load.ts'
import { keepsOrder } from '../config/schema.ts'
import { notifyBacklog } from '../deliver/notify.ts'
import { RelayError } from '../errors.ts'
import type { Pool } from '../store/pool.ts'
import { findDead, findEvents, insertReplayed, type DeadDelivery, type ReplayedDelivery } from '../store/replay.ts'
import type { StoredEvent } from '../types.ts'
import { withDatabase } from './database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'

type ReplayOptions = ConfigOption & JsonOption & { dead: boolean; sink?: string; rule?: string }

interface Replayed {
  events: number
  deliveries: number
  /** Events that today's rules send nowhere. */
  unrouted: number
}

const batchSize = 500

export function addReplay(program: Command): void {
  withJson(withConfig(program.command('replay')))
    .description("make new deliveries of stored events under today's rules; a running relay attempts them")
    .argument('[event_id...]', 'webhook-ids or event numbers')
    .option('--dead', 'the events of dead deliveries that were not replayed yet', false)
    .option('--sink <sink>', 'only deliveries to this sink')
    .option('--rule <rule>', 'only deliveries of this rule')
    .action(async (ids: string[], { config, json, ...options }: ReplayOptions) => {
      if (ids.length > 0 === options.dead)
        throw new RelayError('usage', 'name events, or say --dead, and not both', { hint: 'gemini-relay replay --help' })
      const loaded = loadConfig({ file: config, env: process.env })
      assertKnown(loaded, options)
      const replayed = await withDatabase(loaded, async (pool) => {
        const result = options.dead ? await replayDead(pool, loaded, options) : await replayEvents(pool, loaded, ids, options)
        await notifyBacklog(pool, Object.keys(loaded.config.sinks))
        return result
      })
      process.stdout.write(json ? `${JSON.stringify(replayed)}\n` : `${text(replayed, options)}\n`)
    })
}

function assertKnown({ config }: LoadedConfig, { sink, rule }: { sink?: string; rule?: string }): void {
  if (sink !== undefined && !Object.hasOwn(config.sinks, sink))
    throw new RelayError('usage', `the configuration has no sink ${sink}`)
  if (rule !== undefined && !config.rules.some(({ name }) => name === rule))
    throw new RelayError('usage', `the configuration has no rule ${rule}`)
}

async function replayEvents(pool: Pool, loaded: LoadedConfig, ids: readonly string[], filter: ReplayFilter): Promise<Replayed> {
  const events = await findEvents(pool, ids)
  const known = new Set(events.flatMap(({ id, event }) => [id, event.webhook_id]))
  const unknown = ids.filter((id) => !known.has(id))
  if (unknown.length > 0) throw new RelayError('not_found', `no stored event ${unknown.join(', ')}: nothing was replayed`)
  return await insert(pool, loaded, events, filter)
}

interface ReplayFilter {
  sink?: string
  rule?: string
}

async function replayDead(pool: Pool, loaded: LoadedConfig, filter: ReplayFilter): Promise<Replayed> {
  const total: Replayed = { events: 0, deliveries: 0, unrouted: 0 }
  for (let after = '0'; ;) {
    const dead = await findDead(pool, { ...filter, after, limit: batchSize })
    const last = dead.at(-1)
    if (last === undefined) return total
    after = last.deliveryId
    for (const { sink, rule, events } of byPair(dead)) {
      // What died is done again, and nothing else of its event; all of the sink's rules where that one is gone.
      const today = loaded.config.rules.find(({ name }) => name === rule)
      const sameRule = today?.to.some((target) => target.sink === sink) ? { rule } : {}
      add(total, await insert(pool, loaded, events, { sink, ...sameRule }))
    }
    if (process.stderr.isTTY) process.stderr.write(`\rreplayed ${total.deliveries} deliveries of ${total.events} events `)
  }
}

function byPair(dead: readonly DeadDelivery[]): { sink: string; rule: string; events: StoredEvent[] }[] {
  const pairs = new Map<string, { sink: string; rule: string; events: StoredEvent[] }>()
  for (const { sink, rule, stored } of dead) {
    const pair = pairs.get(`${sink} ${rule}`)
    if (pair === undefined) pairs.set(`${sink} ${rule}`, { sink, rule, events: [stored] })
    else pair.events.push(stored)
  }
  return [...pairs.values()]
}

function add(total: Replayed, { events, deliveries, unrouted }: Replayed): void {
  total.events += events
  total.deliveries += deliveries
  total.unrouted += unrouted
}

async function insert(
  pool: Pool,
  { config, plan }: LoadedConfig,
  events: readonly StoredEvent[],
  { sink, rule }: ReplayFilter,
): Promise<Replayed> {
  const planned = events.map(({ id, event }) =>
    plan
      .route(event)
      .filter((delivery) => (sink === undefined || delivery.sink === sink) && (rule === undefined || delivery.rule === rule))
      .map((delivery): ReplayedDelivery => ({
        eventId: id,
        ...delivery,
        horizonMs: config.sinks[delivery.sink]?.retry.horizon ?? 0,
        ordered: keepsOrder(config.sinks[delivery.sink]),
      })),
  )
  const deliveries = await insertReplayed(pool, planned.flat())
  return { events: events.length, deliveries, unrouted: planned.filter((list) => list.length === 0).length }
}

function text({ events, deliveries, unrouted }: Replayed, { sink, rule }: ReplayFilter): string {
  if (events === 0) return 'nothing to replay'
  const within = sink === undefined && rule === undefined ? '' : ', or not where this replay goes'
  const nowhere = unrouted > 0 ? `; today's rules send ${unrouted} of them nowhere${within}` : ''
  return `${deliveries} new ${deliveries === 1 ? 'delivery' : 'deliveries'} of ${events} ${events === 1 ? 'event' : 'events'}${nowhere}`
}
