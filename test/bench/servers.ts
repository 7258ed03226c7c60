/** What is measured: the built relay, and the receivers that it is measured against, each a process of its own. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'

export interface Target {
  port: number
  pid: number
  stop(): Promise<void>
}

export const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo='

/** What the configurations of most benchmarks begin with. */
export const yamlHead = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /webhooks/gemini, static: { secrets: ["\${SECRET}"] } } }
`

/** @param env `DATABASE_URL` and `SECRET`, where the server takes them */
export async function startServer(file: 'ceiling' | 'handwritten', env: Record<string, string> = {}): Promise<Target> {
  const child = fork(new URL(`./${file}.js`, import.meta.url), { env: { PATH: process.env['PATH'], ...env } })
  const [told]: { port: number }[] = await once(child, 'message')
  return {
    port: told?.port ?? 0,
    pid: child.pid ?? 0,
    async stop() {
      child.kill()
      await once(child, 'exit')
    },
  }
}

/** The built relay with this YAML; `DATABASE_URL` and `SECRET` stand in it. */
export async function startRelay(yaml: string, databaseUrl: string): Promise<Target & { relay: RelayProcess }> {
  const relay = await spawnRelay({ yaml, env: { DATABASE_URL: databaseUrl, SECRET: secret } })
  return { port: Number(new URL(relay.url).port), pid: relay.pid, relay, stop: () => relay.stop() }
}
