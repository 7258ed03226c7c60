/** The built relay as the process that a user starts, on a configuration written in the test. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './root.ts'

export const binary = join(root, 'dist/main.js')

export interface TestRelay {
  /** Without a trailing slash. */
  url: string
  /** Lines of the relay's log so far. */
  log(): string
  /** Its configuration. */
  file: string
  stop(): Promise<void>
}

/** Settings that a test's YAML does not repeat. */
export type RelayConfig = { yaml: string; env?: Record<string, string>; args?: readonly string[] }

export function writeConfig(yaml: string): { file: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'gemini-relay-config-'))
  const file = join(dir, 'relay.yaml')
  writeFileSync(file, yaml)
  return { file, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

export interface RelayProcess extends TestRelay {
  child: ChildProcess
  pid: number
  /** SIGKILL. */
  kill(): Promise<void>
  /** @returns the exit code, null after a signal */
  exited: Promise<number | null>
}

/** The built process, once it is ready; `npm test` builds first. */
export async function spawnRelay(config: RelayConfig): Promise<RelayProcess> {
  const relay = launchRelay(config)
  return { ...relay, url: await relay.ready }
}

/** The built process at once; `ready` is its URL. */
export function launchRelay({ yaml, env = {}, args = [] }: RelayConfig): Omit<RelayProcess, 'url'> & { ready: Promise<string> } {
  const config = writeConfig(yaml)
  const child = spawn(process.execPath, [binary, 'serve', '--config', config.file, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let lines = ''
  child.stderr.on('data', (chunk: Buffer) => void (lines += chunk.toString()))
  const exited = once(child, 'exit').then(([code]): number | null => {
    config.remove()
    return typeof code === 'number' ? code : null
  })
  const ready = new Promise<string>((resolve, reject) => {
    child.stderr.on('data', () => {
      const line = /"url":"http:\/\/[^"]*:(\d+)"[^\n]*gemini-relay is ready/.exec(lines)
      if (line !== null) resolve(`http://127.0.0.1:${line[1]}`)
    })
    void exited.then((code) => reject(new Error(`the relay ended with ${code}: ${lines}`)))
  })
  return {
    ready,
    file: config.file,
    child,
    pid: child.pid ?? 0,
    exited,
    log: () => lines,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
