/** The list of batches, from an API that is well, slow, odd, or away; the command's options; the schedule. */
import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { listEndedBatches } from '../../src/gemini/batches.ts'
import { createGeminiRest } from '../../src/gemini/rest.ts'
import { listenForTest } from '../setup/listening.ts'
import { startReconciling, type Reconciling } from '../setup/reconciling.ts'
import { startRelay } from '../setup/relay.ts'
import { eventually } from '../setup/sender.ts'

interface ListedRequest {
  pageSize: number
  pageToken: string | null
  key: string | undefined
}

type Answer = { status?: number; body: unknown } | 'broken'

/** Plays `GET v1beta/batches` as a test wants it. */
async function serveBatches(answer: (request: ListedRequest, n: number) => Answer) {
  const requests: ListedRequest[] = []
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost')
    const key = request.headers['x-goog-api-key']
    const asked = {
      pageSize: Number(url.searchParams.get('pageSize')),
      pageToken: url.searchParams.get('pageToken'),
      key: typeof key === 'string' ? key : undefined,
    }
    requests.push(asked)
    const answered = url.pathname === '/v1beta/batches' ? answer(asked, requests.length) : { status: 404, body: {} }
    if (answered === 'broken') request.socket.destroy()
    else {
      const { status = 200, body } = answered
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    }
  })
  const baseUrl = await listenForTest(server)
  const list = () => listEndedBatches(createGeminiRest({ apiKey: 'key-of-the-test', baseUrl }), { firstPauseMs: 1 })
  return { baseUrl, requests, list }
}

const endTime = '2026-11-20T10:00:00Z'

function batch(name: string, metadata: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  return { name: `batches/${name}`, done: true, metadata: { state: 'BATCH_STATE_SUCCEEDED', endTime, ...metadata }, ...more }
}

describe('the list', () => {
  it('is read page by page, with the key', async () => {
    const pages: Record<string, unknown> = {
      first: { operations: [batch('1'), batch('2')], nextPageToken: 'second' },
      second: { nextPageToken: 'third' },
      third: { operations: [batch('3')], nextPageToken: '' },
    }
    const { list, requests } = await serveBatches(({ pageToken }) => ({ body: pages[pageToken ?? 'first'] }))
    expect((await list()).ends.map(({ name }) => name)).toEqual(['batches/1', 'batches/2', 'batches/3'])
    expect(requests.map(({ pageToken }) => pageToken)).toEqual([null, 'second', 'third'])
    expect(new Set(requests.map(({ key }) => key))).toEqual(new Set(['key-of-the-test']))
  })

  it('holds ends in either spelling of a state, at the time of the last change where no other is told, and what we cannot tell by count', async () => {
    const operations = [
      batch('1', { state: 'JOB_STATE_SUCCEEDED', output: { responsesFile: 'files/x' } }),
      batch('2', { state: 'BATCH_STATE_FAILED' }, { error: { code: 8, message: 'no quota' } }),
      batch('3', { state: 'JOB_STATE_CANCELLED', endTime: undefined, updateTime: '2026-11-20T11:00:00Z' }),
      batch('4', { state: 'BATCH_STATE_EXPIRED' }),
      batch('5', { state: 'JOB_STATE_PARTIALLY_SUCCEEDED' }),
      batch('6', { state: 'BATCH_STATE_RUNNING' }, { done: false }),
      batch('7', { endTime: undefined }),
      batch('8', { endTime: 'yesterday' }),
      { metadata: { state: 'BATCH_STATE_SUCCEEDED', endTime } },
      null,
    ]
    const { list } = await serveBatches(() => ({ body: { operations } }))
    expect(await list()).toEqual({
      ends: [
        {
          name: 'batches/1',
          type: 'batch.succeeded',
          endedAt: new Date(endTime),
          result: { output_file_uri: 'https://generativelanguage.googleapis.com/v1beta/files/x' },
        },
        {
          name: 'batches/2',
          type: 'batch.failed',
          endedAt: new Date(endTime),
          result: { error_code: 'RESOURCE_EXHAUSTED', error_message: 'no quota' },
        },
        { name: 'batches/3', type: 'batch.cancelled', endedAt: new Date('2026-11-20T11:00:00Z'), result: {} },
        { name: 'batches/4', type: 'batch.expired', endedAt: new Date(endTime), result: {} },
      ],
      unknownStates: { JOB_STATE_PARTIALLY_SUCCEEDED: 1 },
      unreadable: 4,
    })
  })

  it.each([429, 500, 503])('is asked for again after %s', async (status) => {
    const { list, requests } = await serveBatches((_, n) =>
      n < 4 ? { status, body: { error: { message: 'later' } } } : { body: { operations: [batch('1')] } },
    )
    expect((await list()).ends).toHaveLength(1)
    expect(requests.map(({ pageSize }) => pageSize)).toEqual([100, 100, 100, 100])
  })

  it('is asked for in smaller pages after a broken answer', async () => {
    const { list, requests } = await serveBatches((_, n) => (n < 3 ? 'broken' : { body: { operations: [batch('1')] } }))
    expect((await list()).ends).toHaveLength(1)
    expect(requests.map(({ pageSize }) => pageSize)).toEqual([100, 50, 25])
  })

  it.each([
    ['an API that stays unavailable', { status: 503, body: { error: { message: 'come back' } } }, 'gemini_unavailable', 6],
    ['one whose connections break', 'broken', 'gemini_unavailable', 6],
    ['what is no JSON', { body: '<html>' }, 'gemini_unavailable', 6],
    ['what is no page', { body: { operations: 7 } }, 'gemini_unavailable', 6],
    ['a list', { body: [] }, 'gemini_unavailable', 6],
    ['a wrong key', { status: 400, body: { error: { message: 'API key not valid.' } } }, 'gemini_refused', 1],
  ] as const)('ends with an error for %s', async (_, answer, code, tries) => {
    const { list, requests } = await serveBatches(() => answer)
    await expect(list()).rejects.toMatchObject({ code, message: expect.stringMatching(/^listing the batches: the Gemini API /) })
    expect(requests).toHaveLength(tries)
  })

  it('ends with an error where it leads back to a page that was there', async () => {
    const { list } = await serveBatches(({ pageToken }) => ({ body: { nextPageToken: pageToken === 'a' ? 'b' : 'a' } }))
    await expect(list()).rejects.toMatchObject({ code: 'gemini_unavailable', message: expect.stringMatching(/there before/) })
  })
})

describe('the command', () => {
  let at: Reconciling

  beforeAll(async () => {
    at = await startReconciling({ apiKey: 'the-key-of-the-project' })
    await (await startRelay(at.config)).stop()
  })
  afterAll(() => at?.close())
  beforeEach(async () => {
    await at.db.query('truncate gemini_relay.events, gemini_relay.job_ends, gemini_relay.delivery_groups')
  })

  /** Batches that ended so long ago, by the test's own API. */
  async function endedAgo(...hours: number[]) {
    const operations = hours.map((ago, n) => batch(String(n), { endTime: new Date(Date.now() - ago * 3_600_000).toISOString() }))
    return { GOOGLE_GEMINI_BASE_URL: (await serveBatches(() => ({ body: { operations } }))).baseUrl }
  }

  it('goes on where the API was away for a moment, or is slow', async () => {
    await at.batches(3, { after: '1ms' })
    await at.emulator.steer('POST', '/faults', { kind: 'api_error', times: 2, status: 503, path: '/batches' })
    await at.emulator.steer('POST', '/faults', { kind: 'api_slow', by: '500ms', path: '/batches' })
    expect(await at.reconcile()).toMatchObject({
      code: 0,
      output: expect.stringMatching(/^3 batches .* 3 events made, 0 were there\n/),
    })
  })

  it('fails with a wrong key, without repeating it, and makes nothing', async () => {
    const { code, output } = await at.reconcile([], { GEMINI_API_KEY: 'a-wrong-key-42' })
    expect(code).toBe(1)
    expect(output).toMatch(/^gemini-relay: listing the batches: the Gemini API answered 400: .*\n {2}is GEMINI_API_KEY/)
    expect(output).not.toContain('a-wrong-key-42')
    expect(await at.count('gemini_relay.events')).toBe(0)
  })

  it('fails without a key, and where nobody listens', async () => {
    expect(await at.reconcile([], { GEMINI_API_KEY: '' })).toMatchObject({
      code: 1,
      output: expect.stringMatching(/there is no key/),
    })
    const away = await at.reconcile([], { GOOGLE_GEMINI_BASE_URL: 'http://127.0.0.1:9' })
    expect(away).toMatchObject({ code: 1, output: expect.stringMatching(/the Gemini API cannot be reached/) })
  })

  it('makes nothing of what ended before --since, nor of what ended before events are kept', async () => {
    const env = await endedAgo(1, 20, 40, 60, 700, 800)
    expect((await at.reconcile(['--since', '30h'], env)).output).toMatch(/^2 batches .* 2 events made, 0 were there\n/)
    expect((await at.reconcile([], env)).output).toMatch(/^3 batches .* 1 events made, 2 were there\n/)
    expect((await at.reconcile(['--since', '90d'], env)).output).toMatch(/^5 batches .* 2 events made, 3 were there\n/)
    expect(await at.reconcile(['--since', 'yesterday'], env)).toMatchObject({ code: 2 })
  })

  it('shows with --dry-run what it would make, and makes nothing', async () => {
    const env = await endedAgo(1, 2)
    const { output } = await at.reconcile(['--dry-run'], env)
    expect(output).toMatch(
      /^TYPE .*\n(batch\.succeeded +\S+Z +batches\/\d\n){2}2 batches ended .* 2 events would be made, 0 were there\n/,
    )
    expect(JSON.parse((await at.reconcile(['--dry-run', '--json'], env)).output)).toMatchObject({
      made: 2,
      dry_run: true,
      missing: [{ batch: 'batches/0', type: 'batch.succeeded' }, { batch: 'batches/1' }],
    })
    expect(await at.count('gemini_relay.events')).toBe(0)
  })

  it('prints JSON with --json', async () => {
    const { output } = await at.reconcile(['--json'], await endedAgo(1))
    const { since, ...counts } = JSON.parse(output)
    expect(since).toMatch(/Z$/)
    expect(counts).toEqual({ ended: 1, made: 1, there: 0, unknown_states: {}, unreadable: 0 })
  })

  it('tells of states that it does not know, and that interactions cannot be listed', async () => {
    const operations = [batch('1', { state: 'BATCH_STATE_HALTED' }), batch('2', { state: 'BATCH_STATE_HALTED' }), {}]
    const { baseUrl } = await serveBatches(() => ({ body: { operations } }))
    const { code, output } = await at.reconcile([], { GOOGLE_GEMINI_BASE_URL: baseUrl })
    expect(code).toBe(0)
    expect(output).toMatch(
      /\n2 batches are over in the state "BATCH_STATE_HALTED".*\n1 entries .*\ninteractions .* cannot list them\n$/,
    )
    expect((await at.reconcile(['--help'])).output.replaceAll(/\s+/g, ' ')).toContain('the API cannot list them')
    expect(await at.count('gemini_relay.events')).toBe(0)
  })

  it('wants a source that there is', async () => {
    expect(await at.reconcile(['--source', 'other'])).toMatchObject({
      code: 2,
      output: expect.stringMatching(/no source other: --source gemini/),
    })
  })
})

describe('the schedule', () => {
  it('makes events of what ended more than ten minutes ago, and tries again after a failure', async () => {
    const at = await startReconciling({ yaml: 'gemini: { reconcile: { every: 100ms, since: 48h } }\n' })
    onTestFinished(() => at.close())
    const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
    const operations = [
      batch('old', { endTime: ago(15) }),
      batch('new', { endTime: ago(5) }),
      batch('older', { endTime: ago(3_000) }),
    ]
    const { baseUrl, requests } = await serveBatches((_, n) => (n === 1 ? { status: 403, body: {} } : { body: { operations } }))
    const relay = await startRelay({ ...at.config, env: { ...at.config.env, GOOGLE_GEMINI_BASE_URL: baseUrl } })
    onTestFinished(() => relay.stop())
    await eventually(
      () => at.count(`gemini_relay.deliveries where state = 'delivered'`),
      (count) => count === 2,
    )
    await eventually(
      () => requests.length,
      (count) => count > 4,
    )
    expect((await at.db.query('select webhook_id from gemini_relay.events')).rows).toEqual([
      { webhook_id: 'reconciled:batch.succeeded:batches/old' },
    ])
    expect(relay.log()).toMatch(/reconciling failed[^]*1 batches ended since [^"]*, 1 events made, 0 were there/)
  })

  it('needs a key at start', async () => {
    const at = await startReconciling({ yaml: 'gemini: { reconcile: {} }\n' })
    onTestFinished(() => at.close())
    await expect(startRelay({ ...at.config, env: { ...at.config.env, GEMINI_API_KEY: '' } })).rejects.toMatchObject({
      code: 'api_key_missing',
    })
  })
})
