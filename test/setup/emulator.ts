/** An emulator in this process, with the three official SDKs beside it and somebody who receives. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { GoogleGenAI as Version1 } from 'genai1'
import { GoogleGenAI as Version2 } from '@google/genai'
import { GoogleGenAI as Version3 } from 'genai3'
import { pino } from 'pino'
import { startEmulator, type Emulator, type EmulatorOptions } from '../../src/emulator/emulator.ts'
import { listenForTest } from './listening.ts'

export interface TestEmulator extends Emulator {
  /** Lines of its log so far. */
  log: () => string
  /** What steers it: `/emulator/…`. */
  steer: (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown) => Promise<Steered>
}

export interface Steered {
  status: number
  body: Record<string, unknown>
}

export async function emulate(options: Omit<EmulatorOptions, 'log'> = {}): Promise<TestEmulator> {
  let lines = ''
  const log = pino({ level: 'debug' }, { write: (line: string) => void (lines += line) })
  const emulator = await startEmulator({ ...options, log })
  return {
    ...emulator,
    log: () => lines,
    async steer(method, path, body) {
      const headers = { 'content-type': 'application/json' }
      const sent = method === 'GET' ? {} : { headers, body: JSON.stringify(body ?? {}) }
      const response = await fetch(`${emulator.url}/emulator${path}`, { method, ...sent })
      return { status: response.status, body: JSON.parse(await response.text()) }
    },
  }
}

/** Client of the last release of each major version, with its own defaults: its version of the API, its retries. */
export const sdks = {
  '1.x': (baseUrl: string, apiKey = 'test-key') => new Version1({ apiKey, httpOptions: { baseUrl } }),
  '2.x': (baseUrl: string, apiKey = 'test-key') => new Version2({ apiKey, httpOptions: { baseUrl } }),
  '3.x': (baseUrl: string, apiKey = 'test-key') => new Version3({ apiKey, httpOptions: { baseUrl } }),
} as const

export type SdkVersion = keyof typeof sdks

export const sdkVersions: readonly SdkVersion[] = ['1.x', '2.x', '3.x']

export interface NewInteraction {
  model: string
  input: string
  background?: boolean
  webhook_config?: { uris: string[]; user_metadata?: Record<string, unknown> }
}

export interface InteractionClient {
  create: (params: NewInteraction) => Promise<{ id: string; status: string }>
  get: (id: string) => Promise<{ id: string; status: string }>
  cancel: (id: string) => Promise<{ id: string; status: string }>
  delete: (id: string) => Promise<unknown>
}

/** The overloads of the three have no type in common that could be called. */
export const interactionsOf: Record<SdkVersion, (baseUrl: string) => InteractionClient> = {
  '1.x'(baseUrl) {
    const { interactions } = sdks['1.x'](baseUrl)
    return {
      create: async (params) => interactions.create(params),
      get: async (id) => interactions.get(id),
      cancel: async (id) => interactions.cancel(id),
      delete: async (id) => interactions.delete(id),
    }
  },
  '2.x'(baseUrl) {
    const { interactions } = sdks['2.x'](baseUrl)
    return {
      create: async (params) => interactions.create(params),
      get: async (id) => interactions.get(id),
      cancel: async (id) => interactions.cancel(id),
      delete: async (id) => interactions.delete(id),
    }
  },
  '3.x'(baseUrl) {
    const { interactions } = sdks['3.x'](baseUrl)
    return {
      create: async (params) => interactions.create(params),
      get: async (id) => interactions.get(id),
      cancel: async (id) => interactions.cancel(id),
      delete: async (id) => interactions.delete(id),
    }
  },
}

export interface Received {
  headers: IncomingHttpHeaders
  body: string
  /** When it was there, milliseconds since the epoch. */
  at: number
}

export interface Receiver {
  url: string
  received: Received[]
  /** The status of the answers from now on, and their headers; or no answer. */
  answer: (status: number | 'never', headers?: Record<string, string>) => void
}

/** Takes whatever comes, until the test is over. */
export async function receive(): Promise<Receiver> {
  const received: Received[] = []
  let next: { status: number | 'never'; headers: Record<string, string> } = { status: 200, headers: {} }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString(), at: Date.now() })
      if (next.status !== 'never') response.writeHead(next.status, next.headers).end()
    })
  })
  return {
    url: `${await listenForTest(server)}/hook`,
    received,
    answer: (status, headers = {}) => void (next = { status, headers }),
  }
}
