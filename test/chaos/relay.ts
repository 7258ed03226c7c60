/** One relay of the run: the built process, which is killed, frozen, replaced, and comes back behind the same proxy. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { residentMb } from '../bench/resident.ts'
import type { RelayName } from './faults.ts'
import type { Guard } from './guard.ts'

export type RelayState = 'down' | 'starting' | 'up' | 'frozen' | 'stopping'

export interface ChaosRelay {
  name: RelayName
  state(): RelayState
  /** Where it listens; undefined while it is not there. */
  port(): number | undefined
  pid(): number | undefined
  /** Settles when it is ready. One that ends before is started again, as a supervisor would. */
  start(): Promise<void>
  kill(): Promise<void>
  stop(): Promise<void>
  freeze(): void
  thaw(): void
  /** SIGHUP, where somebody is there who listens to it: a process that has just begun would end. */
  reload(): void
  /** Which build its next start runs: `main.js`. */
  use(binary: string): void
  /** Exits that nobody asked for, of processes that were ready, and those that were asked for in vain. */
  crashes: { atMs: number; how: string }[]
  /** Resident megabytes of the present process, by time. */
  memory(): readonly MemorySample[]
  sampleMemory(): void
}

export interface MemorySample {
  /** Since this process was ready. */
  ageMs: number
  mb: number
}

export interface ChaosRelayOptions {
  name: RelayName
  binary: string
  configFile: string
  env: Record<string, string>
  logs: string
  guard: Guard
}

const readyLine = /"url":"http:\/\/[^"]*:(\d+)"[^\n]*gemini-relay is ready/

/** Between two tries of the supervisor. */
const restartMs = 500
/** A start that takes longer is tried again; the relay itself waits 60 s for its database. */
const startLimitMs = 90_000
const startTries = 20
/** The relay gives what is under way 20 s; a supervisor would not wait longer than this either. */
const stopLimitMs = 40_000

export function createRelay(options: ChaosRelayOptions): ChaosRelay {
  const { name, configFile, env, logs, guard } = options
  const log = createWriteStream(join(logs, `relay-${name}.log`), { flags: 'a' })
  const crashes: ChaosRelay['crashes'] = []
  let { binary } = options
  let state: RelayState = 'down'
  let child: ChildProcess | undefined
  let port: number | undefined
  let readyAt = 0
  let memory: MemorySample[] = []

  function launch(): { launched: ChildProcess; ready: Promise<boolean> } {
    const launched = spawn(process.execPath, [binary, 'serve', '--config', configFile], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const { pid } = launched
    if (pid !== undefined) guard.watch(pid)
    log.write(`${JSON.stringify({ time: new Date().toISOString(), chaos: 'started', pid, binary })}\n`)
    const ready = new Promise<boolean>((resolve) => {
      let head: string | undefined = ''
      launched.stderr.on('data', (chunk: Buffer) => {
        log.write(chunk)
        if (head === undefined) return
        head += chunk.toString()
        const found = readyLine.exec(head)?.[1]
        if (found === undefined) return
        head = undefined
        port = Number(found)
        resolve(true)
      })
      launched.once('exit', (code, signal) => {
        if (pid !== undefined) guard.ended(pid)
        log.write(`${JSON.stringify({ time: new Date().toISOString(), chaos: 'ended', pid, code, signal })}\n`)
        resolve(false)
        gone(launched, `exit ${code ?? signal}`)
      })
    })
    return { launched, ready }
  }

  function gone(launched: ChildProcess, how: string): void {
    if (child !== launched) return
    child = undefined
    port = undefined
    const asked = state === 'stopping' || state === 'starting'
    if (state !== 'starting') state = 'down'
    if (asked) return
    crashes.push({ atMs: Date.now(), how: `ended by itself: ${how}` })
    void start()
  }

  async function start(): Promise<void> {
    state = 'starting'
    for (let tries = 1; tries <= startTries; tries++) {
      const { launched, ready } = launch()
      child = launched
      const limit = new AbortController()
      const late = sleep(startLimitMs, false, { signal: limit.signal }).catch(() => false)
      const isReady = await Promise.race([ready, late])
      limit.abort()
      // Somebody has killed it meanwhile, and starts it again.
      if (state !== 'starting') return
      if (isReady) {
        state = 'up'
        readyAt = performance.now()
        memory = []
        return
      }
      launched.kill('SIGKILL')
      await sleep(restartMs)
    }
    throw new Error(`relay ${name} does not start; see ${join(logs, `relay-${name}.log`)}`)
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child
    if (ending === undefined) return
    state = 'stopping'
    const exited = once(ending, 'exit')
    ending.kill(signal)
    const late = setTimeout(() => {
      crashes.push({ atMs: Date.now(), how: `had not ended ${stopLimitMs / 1_000} s after ${signal}` })
      ending.kill('SIGKILL')
    }, stopLimitMs)
    await exited
    clearTimeout(late)
    state = 'down'
  }

  return {
    name,
    state: () => state,
    port: () => port,
    pid: () => child?.pid,
    start,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    freeze() {
      if (state !== 'up') return
      state = 'frozen'
      child?.kill('SIGSTOP')
    },
    thaw() {
      child?.kill('SIGCONT')
      if (state === 'frozen') state = 'up'
    },
    reload() {
      if (state !== 'down' && state !== 'starting') child?.kill('SIGHUP')
    },
    use: (next) => (binary = next),
    crashes,
    memory: () => memory,
    sampleMemory() {
      if (state !== 'up' || child?.pid === undefined) return
      memory.push({ ageMs: performance.now() - readyAt, mb: residentMb(child.pid) })
    },
  }
}
