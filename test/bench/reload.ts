/** How long a request waits while the relay reads another configuration: 10, 100 and 1,000 rules, all of them changed. */
import { writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import type { Bench, Result } from './bench.ts'
import { secret } from './servers.ts'
import { measured, rounded, type Measured } from './statistics.ts'

const sizes = [10, 100, 1_000]
const reloadsPerRepeat = 2
/** Of the same length as a reload: what the machine does to a request by itself. */
const quietMs = 500
const limitMs = 60_000

interface Waits {
  rules: number
  /** Milliseconds: of each reload, and of each time without one, the request that waited longest. */
  reloading: number[]
  quiet: number[]
}

export async function runReload(bench: Bench): Promise<Result> {
  const waits: Waits[] = []
  for (const rules of sizes) waits.push(await measure(bench, rules))
  return {
    json: Object.fromEntries(waits.map(({ rules, reloading, quiet }) => [`rules_${rules}`, { reloading, quiet }])),
    tables: {
      [`Reload: the longest wait of a request, in ms, over ${reloadsPerRepeat * bench.repeats} reloads of every rule`]: [
        ['rules', 'while reloading: median', 'max', 'without: median', 'max'],
        ...waits.map(({ rules, reloading, quiet }) => [
          String(rules),
          ...[measured(reloading), measured(quiet)].flatMap(({ median, max }: Measured) =>
            [median, max].map((ms) => ms.toFixed(1)),
          ),
        ]),
      ],
    },
  }
}

async function measure(bench: Bench, rules: number): Promise<Waits> {
  const url = await bench.postgres.createDatabase('reload')
  const relay = await spawnRelay({
    yaml: configuration(rules, 0),
    env: { DATABASE_URL: url, SECRET: secret },
    args: ['--no-watch'],
  })
  const waits: Waits = { rules, reloading: [], quiet: [] }
  try {
    for (let n = 1; n <= reloadsPerRepeat * bench.repeats; n++) {
      bench.probe()
      waits.quiet.push(await longestWait(relay, () => sleep(quietMs)))
      waits.reloading.push(await longestWait(relay, () => reload(relay, configuration(rules, n), n)))
    }
    bench.say(`reload, ${rules} rules: ${waits.reloading.map(rounded).join(', ')} ms`)
  } finally {
    await relay.stop()
  }
  return waits
}

async function reload(relay: RelayProcess, yaml: string, count: number): Promise<void> {
  writeFileSync(relay.file, yaml)
  relay.child.kill('SIGHUP')
  for (const begun = performance.now(); performance.now() - begun < limitMs; await sleep(5)) {
    if (relay.log().split('the configuration was reloaded').length > count) return
  }
  throw new Error(`not reloaded: ${relay.log()}`)
}

/** One request after the other while `work` is done. @returns milliseconds */
async function longestWait(relay: RelayProcess, work: () => Promise<unknown>): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ended = new AbortController()
  const asking = longestAnswer(relay.url, agent, ended.signal)
  await work()
  ended.abort()
  const longest = await asking
  agent.destroy()
  return longest
}

async function longestAnswer(url: string, agent: Agent, ended: AbortSignal): Promise<number> {
  let longest = 0
  while (!ended.aborted) {
    const begun = performance.now()
    await livez(url, agent)
    longest = Math.max(longest, performance.now() - begun)
    await sleep(1)
  }
  return longest
}

function livez(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    get(`${url}/livez`, { agent }, (response) => response.resume().on('end', resolve)).on('error', reject)
  })
}

/** Each rule has a pattern, a condition, a text and a column of its own. */
function configuration(rules: number, version: number): string {
  const all = Array.from(
    { length: rules },
    (_, n) => `
  - name: rule-${n}
    when: { type: [batch.failed, batch.expired], user_metadata: { team: [team-${n}-${version}] } }
    if: event.data.error_count > ${n + version}
    to:
      - { sink: ops, text: ":x: {{ event.type }} {{ event.subject }} of ${n}, ${version}: {{ event.data.error_message | default: 'no message' }}" }
      - { sink: forward, value: { id: event.subject, version: "${version}", errors: event.data.?error_count.orValue(0) } }`,
  )
  return `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  ops: { type: slack, token: xoxb-test, channel: C0123456789, api_url: "http://127.0.0.1:9/api/" }
  forward: { type: http, url: "http://127.0.0.1:9/", allow_private: true }
rules:${all.join('')}
`
}
