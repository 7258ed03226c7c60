/** How often the API is asked, and what its failures are answered with: against a server that counts. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { geminiSchema } from '../../src/config/gemini-schema.ts'
import { createJobs, type Fetched, type Jobs, type JobsOptions } from '../../src/gemini/jobs.ts'
import { relayEvent } from '../fixtures/deliveries.ts'
import { silent } from '../setup/accepted.ts'
import { eventually } from '../setup/sender.ts'

const apiKey = 'AIzaSy-a-key-that-nobody-may-see'

let server: Server
let asked: string[]
let answer: (response: ServerResponse, request: IncomingMessage) => void
let made: Jobs[]

beforeEach(async () => {
  asked = []
  made = []
  answer = batch('SUCCEEDED')
  server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(response, request)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  for (const jobs of made) jobs.stop()
  server.closeAllConnections()
  server.close()
})

function jobsOf(odd: Record<string, string> = {}, limits?: JobsOptions['limits']): Jobs {
  const address = server.address()
  const baseUrl = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  const { enrich } = geminiSchema.parse({ enrich: { budget: '1000/s', ...odd } })
  const jobs = createJobs({ access: { apiKey, baseUrl }, config: enrich, log: silent, ...(limits && { limits }) })
  made.push(jobs)
  return jobs
}

const shown = (state: string) => JSON.stringify({ name: 'batches/1', metadata: { state: `BATCH_STATE_${state}` } })

function batch(state: string): typeof answer {
  return (response) => void response.end(shown(state))
}

const refusal = (status: number, message = 'no', headers: Record<string, string> = {}): typeof answer => {
  return (response) => response.writeHead(status, headers).end(JSON.stringify({ error: { code: status, message } }))
}

const event = (subject = 'batches/1', receivedAt = new Date()) =>
  relayEvent({ type: 'batch.succeeded', subject, received_at: receivedAt.toISOString() })
const stateOf = (fetched: Fetched) => ('resource' in fetched ? (fetched.resource?.state ?? null) : fetched.unavailable)
const many = (jobs: Jobs, count: number) =>
  Promise.all(Array.from({ length: count }, (_, n) => jobs.fetch(event(`batches/${n}`))))

it('asks once for all who ask while it does, and not again for what is over', async () => {
  const jobs = jobsOf()
  const found = await Promise.all(Array.from({ length: 50 }, (_, n) => jobs.fetch(event(n % 2 === 0 ? 'batches/1' : '1'))))
  expect(new Set(found.map(stateOf))).toEqual(new Set(['succeeded']))
  expect(jobs.known(event())?.state).toBe('succeeded')
  expect(asked).toEqual(['/v1beta/batches/1'])
})

it('shows a job that runs on to no event that came after it was looked at', async () => {
  answer = batch('RUNNING')
  const jobs = jobsOf()
  expect(stateOf(await jobs.fetch(event()))).toBe('running')
  expect(jobs.known(event('batches/1', new Date(Date.now() - 1_000)))?.state).toBe('running')
  const later = event('batches/1', new Date(Date.now() + 1))
  expect(jobs.known(later)).toBeUndefined()
  answer = batch('SUCCEEDED')
  await eventually(
    () => Date.now(),
    (now) => now > Date.parse(later.received_at),
  )
  expect(stateOf(await jobs.fetch(later))).toBe('succeeded')
})

it('asks again for an event that came while it was asking, where the job was running', async () => {
  const open: ServerResponse[] = []
  answer = (response) => void open.push(response)
  const jobs = jobsOf()
  const first = jobs.fetch(event())
  await eventually(
    () => open.length,
    (count) => count === 1,
  )
  const received = new Date(Date.now() + 5)
  await eventually(
    () => Date.now(),
    (now) => now > received.getTime(),
  )
  const second = jobs.fetch(event('batches/1', received))
  answer = batch('SUCCEEDED')
  for (const response of open) response.end(shown('RUNNING'))
  expect([stateOf(await first), stateOf(await second)]).toEqual(['running', 'succeeded'])
})

it('holds no more jobs than it may', async () => {
  const jobs = jobsOf({}, { maxEntries: 3, maxBytes: 1_000_000 })
  await many(jobs, 5)
  expect([0, 1, 2, 3, 4].filter((n) => jobs.known(event(`batches/${n}`)) !== undefined)).toHaveLength(3)
})

it('takes 404 for an answer', async () => {
  answer = refusal(404)
  const jobs = jobsOf()
  expect(await jobs.fetch(event())).toMatchObject({ resource: null })
  expect(jobs.known(event('batches/1', new Date(Date.now() - 1_000)))).toBe(null)
})

it('answers a backlog with the failure it has just had, and asks again when a second has passed', async () => {
  answer = refusal(503, 'overloaded')
  const jobs = jobsOf()
  for (let n = 0; n < 50; n++) expect(stateOf(await jobs.fetch(event(`batches/${n}`)))).toMatch(/503: overloaded/)
  expect(asked).toHaveLength(3)
  answer = batch('SUCCEEDED')
  await eventually(
    async () => stateOf(await jobs.fetch(event('batches/9'))),
    (state) => state === 'succeeded',
  )
  expect(asked).toHaveLength(4)
})

it('holds what is said of one job against no other', async () => {
  answer = (response, request) =>
    request.url?.includes('bad') === true ? refusal(400)(response, request) : batch('SUCCEEDED')(response, request)
  const jobs = jobsOf()
  const bad = ['bad1', 'bad2', 'bad3', 'bad4', 'bad4', 'bad4']
  for (const subject of bad) expect(stateOf(await jobs.fetch(event(subject)))).toMatch(/400/)
  expect(asked).toHaveLength(4)
  expect(stateOf(await jobs.fetch(event('batches/good')))).toBe('succeeded')
})

it('waits as long as a 429 asks, and says so', async () => {
  answer = refusal(429, 'slow down', { 'retry-after': '2' })
  const jobs = jobsOf()
  expect(await jobs.fetch(event())).toMatchObject({ retryAfterMs: 2_000, unavailable: expect.stringMatching(/quota/) })
  answer = batch('SUCCEEDED')
  const from = performance.now()
  await eventually(
    async () => stateOf(await jobs.fetch(event('batches/2'))),
    (state) => state === 'succeeded',
  )
  expect(performance.now() - from).toBeGreaterThan(1_900)
  expect(asked).toHaveLength(2)
})

it('keeps to what a 429 asks, though an earlier call is answered meanwhile', async () => {
  const open: ServerResponse[] = []
  answer = (response) => void open.push(response)
  const jobs = jobsOf()
  const early = jobs.fetch(event('batches/early'))
  await eventually(
    () => open.length,
    (count) => count === 1,
  )
  answer = refusal(429, 'slow down', { 'retry-after': '30' })
  await jobs.fetch(event('batches/limited'))
  open[0]?.end(shown('SUCCEEDED'))
  expect(stateOf(await early)).toBe('succeeded')
  expect(stateOf(await jobs.fetch(event('batches/next')))).toMatch(/429/)
  expect(asked).toHaveLength(2)
})

it.each([
  ['9999999', 60_000],
  ['soon', undefined],
])('a 429 that asks for %s is waited for %s ms', async (retryAfter, retryAfterMs) => {
  answer = refusal(429, 'slow down', { 'retry-after': retryAfter })
  expect(await jobsOf().fetch(event())).toMatchObject({ retryAfterMs })
})

it('has eight calls under way at most, and one to see whether the API is back', async () => {
  const open: ServerResponse[] = []
  const hold: typeof answer = (response) => void open.push(response)
  const hangUp: typeof answer = (response) => void response.destroy()
  const letGo = () => {
    answer = hangUp
    for (const response of open.splice(0)) response.destroy()
  }
  answer = hold
  const jobs = jobsOf()
  const all = many(jobs, 20)
  await eventually(
    () => open.length,
    (count) => count >= 8,
  )
  expect(open).toHaveLength(8)
  letGo()
  expect((await all).map(stateOf).filter((state) => state?.includes('cannot be reached'))).toHaveLength(20)
  const before = asked.length
  expect(before).toBeLessThan(12) // until three have failed, the next ones are tried

  answer = hold
  const probing: Promise<unknown>[] = []
  await eventually(
    () => {
      if (asked.length === before) probing.push(many(jobs, 20))
      return open.length
    },
    (count) => count > 0,
  )
  // Nobody else waits for what one call shows.
  expect(stateOf(await jobs.fetch(event('batches/other')))).toMatch(/cannot be reached/)
  letGo()
  await Promise.all(probing)
  expect(asked).toHaveLength(before + 1)
})

it('gives up an answer that does not come', async () => {
  answer = () => {}
  expect(stateOf(await jobsOf({ timeout: '100ms' }).fetch(event()))).toMatch(/timeout/)
})

it('keeps within its budget, in turn, and says when it is used up', async () => {
  const jobs = jobsOf({ budget: '20/s', timeout: '300ms' })
  const found = await many(jobs, 40)
  expect(found.filter((one) => 'resource' in one).length).toBe(asked.length)
  // What one second brings at once, and what comes in within the timeout.
  expect(asked.length).toBeGreaterThanOrEqual(20)
  expect(asked.length).toBeLessThanOrEqual(27)
  expect(found.map(stateOf).filter((state) => state?.includes('gemini.enrich.budget'))).toHaveLength(40 - asked.length)
})

it('never repeats the key, whatever the answer does', async () => {
  answer = (response, request) => refusal(403, `bad key ${String(request.headers['x-goog-api-key'])}`)(response, request)
  const said = stateOf(await jobsOf().fetch(event()))
  expect(said).toMatch(/bad key \[hidden\].*GEMINI_API_KEY/)
  expect(said).not.toContain(apiKey)
})
