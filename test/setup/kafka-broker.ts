/** A real broker for tests: Apache Kafka in KRaft mode, one process with both roles, on ephemeral ports. */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { open, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { freePorts } from './free-ports.ts'
import { kafkaJars, kafkaVersion } from './kafka-jars.ts'

const run = promisify(execFile)

export interface TestKafka {
  /** Plain listener, no authentication. */
  brokers: string[]
  version: string
  /** What only a broker that we started has; null on the one that `TEST_KAFKA_BROKERS` names. */
  own: OwnListeners | null
}

export interface OwnListeners {
  /** SASL listener (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512) with the users below. */
  saslPort: number
  /**
   * A listener to put a fault injector before: the broker listens on `upstreamPort` and tells clients to come to
   * `proxyPort`, where nobody listens until a test does.
   */
  upstreamPort: number
  proxyPort: number
}

/** Known to every mechanism of the SASL listener. `writer` may do all, `stranger` nothing. */
export const kafkaUsers = {
  writer: { username: 'writer', password: 'writer-secret' },
  stranger: { username: 'stranger', password: 'stranger-secret' },
}

/** A cold JVM on a busy two-core machine takes about 10 s. */
const readyTimeoutMs = 60_000

/** What a test that waits for the broker may take at most: a first run downloads it. */
export const brokerTimeoutMs = 360_000

/** A port that was free a moment ago can be taken: then the broker is started again on others. */
const startTries = 3

export async function startKafkaBroker(): Promise<TestKafka & { stop: () => Promise<void> }> {
  const given = process.env['TEST_KAFKA_BROKERS']
  if (given) return { brokers: given.split(','), version: 'TEST_KAFKA_BROKERS', own: null, stop: () => Promise.resolve() }

  const version = await kafkaVersion()
  const jars = await kafkaJars(version)
  for (let tries = 1; ; tries++) {
    const broker = await startOnce(jars)
    if (broker.ready) return { ...broker, version }
    await broker.stop()
    if (tries === startTries) throw new Error(`Kafka ${version} did not start:\n${broker.output}`)
  }
}

async function startOnce(jars: string) {
  const [plain = 0, saslPort = 0, upstreamPort = 0, proxyPort = 0, controller = 0] = await freePorts(5)
  const data = await mkdtemp(join(tmpdir(), 'relay-kafka-'))
  const properties = join(data, 'server.properties')
  const logConfig = join(data, 'log4j2.properties')
  const logFile = join(data, 'broker.log')
  await writeFile(properties, serverProperties({ data, plain, saslPort, upstreamPort, proxyPort, controller }))
  await writeFile(logConfig, logProperties)

  // A broker that lives for seconds gains nothing from the optimising compiler. In a heap of this size G1 marks all the time: on two
  // cores that took more than the broker's own work.
  const java = [
    '-Xms512m',
    '-Xmx512m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    `-Dlog4j2.configurationFile=${logConfig}`,
    '-cp',
    `${jars}/*`,
  ]
  const scram = Object.values(kafkaUsers).flatMap(({ username, password }) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${username},password=${password}]`,
    ]),
  )
  // The first byte keeps it from starting with a dash, which would be read as an option.
  const clusterId = Buffer.concat([Buffer.of(0), randomBytes(15)]).toString('base64url')
  await run('java', [...java, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', properties, ...scram])

  const log = await open(logFile, 'a')
  const guard = spawn('sh', ['-c', guarded, 'sh', data, 'java', ...java, 'kafka.Kafka', properties], {
    // A session of its own: Ctrl-C in the terminal is for vitest, which then closes the pipe.
    detached: true,
    stdio: ['pipe', log.fd, log.fd],
  })
  await log.close()
  const exited = new Promise<void>((resolve) => guard.once('exit', () => resolve()))
  const brokers = [`127.0.0.1:${plain}`]
  const ready = await Promise.race([isReady(brokers), exited.then(() => false)])
  return {
    brokers,
    own: { saslPort, upstreamPort, proxyPort },
    ready,
    output: ready ? '' : (await readFile(logFile, 'utf8').catch(() => '')).slice(-4_000),
    async stop() {
      guard.stdin?.end()
      await exited
      await rm(data, { recursive: true, force: true })
    },
  }
}

/**
 * Runs a broker (`$2…`) for as long as our end of the pipe on standard input is open, then kills it and removes its
 * data (`$1`): a test run that is killed leaves nothing behind. Killing is right, nobody reads this data again.
 */
const guarded = `
data=$1; shift
exec 3<&0
"$@" </dev/null 3<&- & broker=$!
(read -r _ <&3; kill -9 "$broker" && rm -rf "$data") 2>/dev/null &
wait "$broker"
`

type Places = OwnListeners & { data: string; plain: number; controller: number }

function serverProperties(at: Places): string {
  const plainUsers = Object.values(kafkaUsers).map(({ username, password }) => `user_${username}="${password}"`)
  const scramModule = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const clientListeners = `PLAINTEXT://127.0.0.1:${at.plain},SASL://127.0.0.1:${at.saslPort}`
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${at.controller}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `${clientListeners},PROXIED://127.0.0.1:${at.upstreamPort},CONTROLLER://127.0.0.1:${at.controller}`,
    'advertised.listeners': `${clientListeners},PROXIED://127.0.0.1:${at.proxyPort}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.sasl.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${plainUsers.join(' ')};`,
    'listener.name.sasl.scram-sha-256.sasl.jaas.config': scramModule,
    'listener.name.sasl.scram-sha-512.sasl.jaas.config': scramModule,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': `User:ANONYMOUS;User:${kafkaUsers.writer.username}`,
    'log.dirs': join(at.data, 'logs'),
    'auto.create.topics.enable': false,
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
  })
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

/** Errors only, on standard output: what a start that fails is explained with. */
const logProperties = `
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%p %c{1} %m%n
rootLogger.level=ERROR
rootLogger.appenderRef.console.ref=console
`

async function isReady(brokers: string[]): Promise<boolean> {
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin()
  const giveUpAt = Date.now() + readyTimeoutMs
  while (Date.now() < giveUpAt) {
    try {
      await admin.connect()
      const cluster = await admin.describeCluster()
      if (cluster.brokers.length === 1) return true
    } catch {
      // Not yet: refused, or up and not registered.
    } finally {
      await admin.disconnect()
    }
    await sleep(150)
  }
  return false
}
