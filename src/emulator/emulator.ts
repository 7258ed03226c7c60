/** Gemini as seen from outside, for development and tests: its parts put together. Everything is in memory. */
import { createLifecycle } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { createApp, jwksPath } from './api/app.ts'
import { createBatches } from './batches.ts'
import { createClock } from './clock.ts'
import { createFaults } from './faults.ts'
import { createInteractions } from './interactions.ts'
import { createKeyRing } from './key-ring.ts'
import { listen } from './listen.ts'
import { createSender } from './sender.ts'
import { defaultSettings, type Settings } from './settings.ts'
import { createWebhooks } from './webhooks.ts'

export interface EmulatorOptions {
  /** Default: this machine only. */
  host?: string
  /** 0: any that is free. */
  port?: number
  /** The only key that the API accepts; undefined: any. */
  apiKey?: string | undefined
  /** Emulated seconds in a real one. */
  speed?: number
  settings?: Partial<Settings>
  /** How long a receiver may take, in milliseconds of real time. */
  timeoutMs?: number
  log: Log
}

export interface Emulator {
  /** Base of the API, without a trailing slash. */
  url: string
  jwksUri: string
  stop: () => Promise<void>
}

export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { host = '127.0.0.1', port = 0, apiKey, speed = 1, timeoutMs, log } = options
  const lifecycle = createLifecycle(log)
  let current: Settings = { ...defaultSettings, ...options.settings }
  const settings = () => current
  const clock = createClock(speed)
  lifecycle.onStop('clock', () => clock.stop())
  const keys = await createKeyRing(clock)
  const webhooks = createWebhooks(clock)
  const faults = createFaults()
  const sender = createSender({
    clock,
    webhooks,
    keys,
    faults,
    log,
    settings,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })
  lifecycle.onStop('sender', () => sender.stop())
  const batches = createBatches({ clock, sender, settings })
  const interactions = createInteractions({ clock, sender })
  const setSettings = (next: Settings) => void (current = next)
  const parts = { clock, webhooks, batches, interactions, sender, keys, faults, settings, setSettings }
  const handle = createApp({ apiKey, log, ...parts }).callback()
  const { url, close } = await listen((request, response) => void handle(request, response), host, port)
  lifecycle.onStop('http', close)
  return { url, jwksUri: `${url}${jwksPath}`, stop: () => lifecycle.stop() }
}
