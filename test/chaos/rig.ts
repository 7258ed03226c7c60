/** Everything a run consists of, acquired in order and released in reverse. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { startJwksServer } from '../../src/emulator/jwks-server.ts'
import { makeServerDir } from '../setup/server-dir.ts'
import { createArrivals, type Arrivals } from './arrivals.ts'
import { createConfigHistory, type ConfigHistory } from './config-history.ts'
import { webhookPath } from './config.ts'
import { createConfigurations, type Configurations } from './configurations.ts'
import { edgeNames, relayNames, type EdgeName, type RelayName } from './faults.ts'
import { startGenerator, type Generator } from './generator.ts'
import { startGuard } from './guard.ts'
import { startHttpReceiver, type HttpReceiver } from './http-receiver.ts'
import { startKafkaEnd } from './kafka.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { createMessages, type Sinks } from './messages.ts'
import { buildNextRelease, removeNextRelease } from './next-release.ts'
import { startPostgres, type ChaosPostgres } from './postgres.ts'
import { startFaultProxy, type FaultProxy, type Upstream } from './proxy.ts'
import { createRandom } from './random.ts'
import { createRelay, type ChaosRelay } from './relay.ts'
import { createSigner } from './signing.ts'
import { startSlackEnd, type SlackEnd } from './slack.ts'
import { createTables, otherDatabase, relayDatabase } from './tables.ts'

export interface Rig {
  /** Logs of the relays and of Postgres, and the data. */
  dir: string
  postgres: ChaosPostgres
  relays: Record<RelayName, ChaosRelay>
  /** By edge; `kafka` is missing where there is no broker. */
  proxies: ReadonlyMap<EdgeName, FaultProxy>
  receiver: HttpReceiver
  slack: SlackEnd
  /** The broker's version, or why there is none. */
  kafka: string
  sinks: Sinks
  arrivals: Arrivals
  ledger: Ledger
  configurations: Configurations
  history: ConfigHistory
  builds: { now: string; next: string }
  startTraffic: () => Generator
  stop(): Promise<void>
}

export interface RigOptions {
  seed: number
  /** Of the relay under test: `main.js`. */
  binary: string
  perSecond: number
  withKafka: boolean
  say: (line: string) => void
}

export async function startRig(options: RigOptions): Promise<Rig> {
  const releases: (() => unknown)[] = []
  async function stop(): Promise<void> {
    for (let release = releases.pop(); release !== undefined; release = releases.pop()) await release()
  }
  try {
    return await acquire(options, (release) => void releases.push(release), stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function acquire(
  { seed, binary, perSecond, withKafka, say }: RigOptions,
  onStop: (release: () => unknown) => void,
  stop: () => Promise<void>,
): Promise<Rig> {
  const dir = makeServerDir('gemini-relay-chaos-')
  const logs = join(dir, 'logs')
  mkdirSync(logs)
  const guard = startGuard()
  onStop(() => guard.stop())
  const random = createRandom(seed)
  const signer = createSigner()
  const arrivals = createArrivals()
  const ledger = createLedger()

  say('starting Postgres')
  const postgres = await startPostgres({ dir, logs, guard })
  onStop(() => postgres.stop())
  await createTables((database) => postgres.url(database))
  const receiver = await startHttpReceiver({ arrivals, secret: signer.keys.secret })
  onStop(() => receiver.stop())
  const slack = await startSlackEnd(arrivals)
  onStop(() => slack.stop())
  const jwks = await startJwksServer({ keys: signer.published })
  onStop(() => jwks.close())
  if (withKafka) say('starting Kafka')
  const kafka = withKafka ? await startKafkaEnd(arrivals) : { missing: 'not asked for' }
  const broker = 'missing' in kafka ? undefined : kafka
  onStop(() => broker?.stop())

  const relays: Partial<Record<RelayName, ChaosRelay>> = {}
  const upstreams: Record<EdgeName, Upstream> = {
    'sender-a': () => relays.a?.port(),
    'sender-b': () => relays.b?.port(),
    'postgres-a': () => postgres.port,
    'postgres-b': () => postgres.port,
    other: () => postgres.port,
    http: () => receiver.port,
    slack: () => slack.port,
    kafka: () => broker?.upstreamPort,
  }
  const proxies = new Map<EdgeName, FaultProxy>()
  for (const edge of edgeNames) {
    if (edge === 'kafka' && broker === undefined) continue
    const proxy = await startFaultProxy(upstreams[edge], edge === 'kafka' ? broker?.proxyPort : 0)
    proxies.set(edge, proxy)
    onStop(() => proxy.stop())
  }
  const portOf = (edge: EdgeName): number => proxies.get(edge)?.port ?? 0

  const sinks: Sinks = { kafka: broker !== undefined }
  const ports = { http: portOf('http'), slack: portOf('slack'), kafka: portOf('kafka') }
  const history = createConfigHistory()
  const configurations = createConfigurations({
    dir: logs,
    surroundings: { ports, jwksUri: jwks.url, audience: signer.audience, sinks, takenPort: receiver.port },
    relay: (name) => relays[name],
    history,
  })
  const builds = { now: binary, next: buildNextRelease(binary) }
  onStop(removeNextRelease)

  function relay(name: RelayName): ChaosRelay {
    const env = {
      DATABASE_URL: postgres.url(relayDatabase, portOf(`postgres-${name}`)),
      OTHER_URL: postgres.url(otherDatabase, portOf('other')),
      SECRET: signer.keys.secret,
      FORWARD_SECRET: signer.keys.secret,
      SLACK_BOT_TOKEN: 'xoxb-chaos',
    }
    const made = createRelay({ name, binary, configFile: configurations.fileOf(name), env, logs, guard })
    relays[name] = made
    onStop(() => made.kill())
    return made
  }

  const both = { a: relay('a'), b: relay('b') }
  say('starting two relays')
  await Promise.all(relayNames.map((name) => both[name].start()))

  return {
    dir,
    postgres,
    relays: both,
    proxies,
    receiver,
    slack,
    kafka: 'missing' in kafka ? `none (${kafka.missing})` : kafka.version,
    sinks,
    arrivals,
    ledger,
    configurations,
    history,
    builds,
    startTraffic() {
      const generator = startGenerator({
        ports: { a: portOf('sender-a'), b: portOf('sender-b') },
        path: webhookPath,
        perSecond,
        messages: createMessages(random.fork('messages'), seed.toString(36)),
        signer,
        ledger,
        random: random.fork('senders'),
      })
      onStop(() => generator.stop())
      return generator
    },
    stop,
  }
}
