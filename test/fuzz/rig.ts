/** The built relay as a process of its own, on a real Postgres, with keys of every kind; and what it says on stderr. */
import { startPostgres } from '../bench/postgres.ts'
import { spawnRelay } from '../setup/relay-process.ts'
import type { Findings } from './findings.ts'
import { createKeys, type Keys } from './keys.ts'
import { bodyLimit } from './kinds/bodies.ts'
import { relayEnv, relayYaml } from './relay-config.ts'

export interface Rig {
  keys: Keys
  port: number
  pid: number
  databaseUrl: string
  /** Whether the process has ended by itself. */
  hasEnded: () => boolean
  /** Ends the relay and waits until it has; its exit code is 0, or it is a finding. */
  stopRelay: () => Promise<void>
  stop: () => Promise<void>
}

/** What is under way has 20 s; whoever takes longer waits for something that does not come. */
const stopMs = 40_000

/** Pattern, condition and text look at what hostile bodies are made of. */
const rules = `
sinks:
  trace: { type: log }
rules:
  - { name: everything, to: [trace] }
  - { name: pattern, when: { type: [batch.*, __proto__], user_metadata: { priority: [high] } }, to: [trace] }
  - { name: condition, if: "event.data.?id.orValue('') == 'constructor' || event.subject.contains('job')", to: [trace] }
`

export async function startRig(findings: Findings): Promise<Rig> {
  const releases: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const release of releases.splice(0).toReversed()) await release()
  }
  try {
    const postgres = await startPostgres()
    releases.push(() => postgres.stop())
    const keys = await createKeys()
    releases.push(() => keys.stop())
    const databaseUrl = await postgres.createDatabase('fuzz')
    const relay = await spawnRelay({ yaml: relayYaml(keys, bodyLimit, rules), env: relayEnv(keys, databaseUrl) })
    let stopping = false
    let ended = false
    const exited = relay.exited.then((code) => {
      ended = true
      if (!stopping || code !== 0)
        findings.report({ kind: 'crash', what: `the relay ended with ${code}: ${relay.log().slice(-4_000)}` })
    })
    relay.child.stderr?.on('data', watch(findings))
    const stopRelay = async () => {
      stopping = true
      relay.child.kill('SIGTERM')
      const timer = setTimeout(() => relay.child.kill('SIGKILL'), stopMs)
      await exited
      clearTimeout(timer)
    }
    releases.push(stopRelay)
    return {
      keys,
      port: Number(new URL(relay.url).port),
      pid: relay.pid,
      databaseUrl,
      hasEnded: () => ended,
      stopRelay,
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** pino's levels: 50 is an error. */
const errorLevel = 50

/** Everything the relay says is a line of JSON; a stack of an unhandled rejection is none. */
function watch(findings: Findings): (chunk: Buffer) => void {
  let rest = ''
  return (chunk) => {
    const lines = `${rest}${chunk.toString()}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines)
      if (line !== '' && isTrouble(line)) findings.report({ kind: 'crash', what: `the relay says: ${line}` })
  }
}

function isTrouble(line: string): boolean {
  try {
    const said: unknown = JSON.parse(line)
    return typeof said !== 'object' || said === null || !('level' in said) || Number(said.level) >= errorLevel
  } catch {
    return true
  }
}
