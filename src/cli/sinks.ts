import type { Command } from 'commander'
import { loadConfig, type LoadedConfig } from '../config/load.ts'
import { sinkAddress } from '../config/sink-address.ts'
import { RelayError } from '../errors.ts'
import { suggestion } from '../route/nearest.ts'
import type { Pool } from '../store/pool.ts'
import { countBySink, countLimit, holdsAt, pauseSink, readPauses, resumeSink, type SinkPause } from '../store/sink-pauses.ts'
import { withDatabase } from './database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'
import { formatTable, oneLine } from './table.ts'

interface ListedSink {
  name: string
  type: string
  state: 'running' | 'paused'
  reason: string | null
  since: Date | null
  /** At most {@link countLimit}. */
  pending: number
  dead: number
}

export function addSinks(program: Command): void {
  const sinks = program.command('sinks').description('see which sinks run; pause one, or have it go on')
  withJson(withConfig(sinks.command('list')))
    .description('list sinks, with what waits for each and what died')
    .action(async ({ config, json }: ConfigOption & JsonOption) => {
      const loaded = loadConfig({ file: config, env: process.env })
      const listed = await withDatabase(loaded, (pool) => listSinks(pool, loaded))
      process.stdout.write(json ? `${JSON.stringify(listed)}\n` : `${listText(listed)}\n`)
    })
  withConfig(sinks.command('pause'))
    .description('send nothing to a sink, from any relay, until it is resumed; what comes for it waits')
    .argument('<sink>', 'its name')
    .option('--reason <text>', 'for those who look', 'paused by hand')
    .action(async (name: string, { config, reason }: ConfigOption & { reason: string }) => {
      const loaded = loadConfig({ file: config, env: process.env })
      const current = addressOf(loaded, name)
      if (current === undefined) throw unknownSink(loaded, name)
      await withDatabase(loaded, async (pool) => {
        if (await pauseSink(pool, { sink: name, reason, address: null, current })) return say(`${name} is paused`)
        const found = (await readPauses(pool)).find(({ sink }) => sink === name)
        return no(`${name} is paused already${found === undefined ? '' : `, since ${sinceOf(found)}: ${oneLine(found.reason)}`}`)
      })
    })
  withConfig(sinks.command('resume'))
    .description('have a paused sink go on: relays that run begin with what has waited')
    .argument('<sink>', 'its name')
    .action(async (name: string, { config }: ConfigOption) => {
      const loaded = loadConfig({ file: config, env: process.env })
      await withDatabase(loaded, async (pool) => {
        // Counted before: relays that run begin at once with what waits.
        const waiting = await waitingText(pool, name)
        // Also one that the configuration does not have any more.
        if (await resumeSink(pool, name)) return say(`${name} is resumed: ${waiting}`)
        if (addressOf(loaded, name) === undefined) throw unknownSink(loaded, name)
        return no(`${name} is not paused`)
      })
    })
}

async function listSinks(pool: Pool, { config }: LoadedConfig): Promise<ListedSink[]> {
  const pauses = new Map((await readPauses(pool)).map((pause) => [pause.sink, pause]))
  const counts = await countBySink(pool, Object.keys(config.sinks))
  return Object.entries(config.sinks).map(([name, sink]) => {
    const found = pauses.get(name)
    const pause = found !== undefined && holdsAt(found, sinkAddress(sink)) ? found : undefined
    const { pending = 0, dead = 0 } = counts.get(name) ?? {}
    return {
      name,
      type: sink.type,
      state: pause === undefined ? 'running' : 'paused',
      reason: pause?.reason ?? null,
      since: pause?.pausedAt ?? null,
      pending,
      dead,
    }
  })
}

function listText(sinks: readonly ListedSink[]): string {
  if (sinks.length === 0) return 'the configuration has no sinks'
  return formatTable(
    ['SINK', 'TYPE', 'STATE', 'PENDING', 'DEAD', 'SINCE', 'REASON'],
    sinks.map(({ name, type, state, pending, dead, since, reason }) => [
      name,
      type,
      state,
      counted(pending),
      counted(dead),
      since?.toISOString() ?? '',
      oneLine(reason),
    ]),
  )
}

function counted(count: number): string {
  return count < countLimit ? String(count) : `${countLimit}+`
}

async function waitingText(pool: Pool, sink: string): Promise<string> {
  const pending = (await countBySink(pool, [sink])).get(sink)?.pending ?? 0
  if (pending === 0) return 'nothing waits for it'
  return pending === 1 ? 'one delivery waits for it' : `${counted(pending)} deliveries wait for it`
}

/** Undefined for a sink that is not configured. */
function addressOf({ config }: LoadedConfig, name: string): string | null | undefined {
  const sink = Object.hasOwn(config.sinks, name) ? config.sinks[name] : undefined
  return sink && sinkAddress(sink)
}

function unknownSink({ config }: LoadedConfig, name: string): RelayError {
  const names = Object.keys(config.sinks)
  return new RelayError('not_found', `there is no sink ${oneLine(name)}${suggestion(name, names)}`, {
    hint: '`gemini-relay sinks list` shows them',
  })
}

function sinceOf({ pausedAt }: SinkPause): string {
  return pausedAt.toISOString()
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Nothing was changed. */
function no(text: string): void {
  say(text)
  process.exitCode = 1
}
