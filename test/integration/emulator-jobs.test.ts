/** Batches and interactions of the emulator, as the official SDK starts them and looks after them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emulate, interactionsOf, receive, sdks, sdkVersions, type TestEmulator } from '../setup/emulator.ts'
import { eventually } from '../setup/sender.ts'

let emulator: TestEmulator

beforeAll(async () => {
  // Five emulated seconds, the usual length of a job, are ten real milliseconds.
  emulator = await emulate({ speed: 500 })
  await emulator.steer('POST', '/settings', { batch: { duration: 'never' }, interaction: { duration: 'never' } })
})

afterAll(() => emulator?.stop())

const model = 'gemini-3-flash-preview'
const hello = [{ contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] }]

describe.each(sdkVersions)('the SDK %s', (version) => {
  const open = () => sdks[version](emulator.url)
  const end = (id: string, how: Record<string, unknown>) => emulator.steer('POST', `/jobs/${id.replace('batches/', '')}`, how)

  it('creates a batch of a file, and sees it run and succeed', async () => {
    const { batches } = open()
    const created = await batches.create({ model, src: 'files/input', config: { displayName: 'nightly' } })
    expect(created).toMatchObject({ displayName: 'nightly', state: 'JOB_STATE_PENDING', model: `models/${model}` })
    const name = created.name ?? ''
    expect(name).toMatch(/^batches\/\w+$/)
    await eventually(
      async () => String((await batches.get({ name })).state),
      (state) => state === 'JOB_STATE_RUNNING',
    )
    await end(name, { end: 'succeeded' })
    const done = await batches.get({ name })
    expect(done).toMatchObject({ name, state: 'JOB_STATE_SUCCEEDED', dest: { fileName: expect.stringMatching(/^files\/\w/) } })
    expect(Date.parse(done.endTime ?? '')).toBeGreaterThanOrEqual(Date.parse(done.createTime ?? ''))
  })

  it('gets the answers of a batch whose requests came with the call', async () => {
    const { batches } = open()
    const { name = '' } = await batches.create({ model, src: [...hello, ...hello] })
    await end(name, { end: 'succeeded' })
    expect((await batches.get({ name })).dest?.inlinedResponses).toHaveLength(2)
  })

  it.each([
    ['failed', 'JOB_STATE_FAILED'],
    ['expired', 'JOB_STATE_EXPIRED'],
    ['cancelled', 'JOB_STATE_CANCELLED'],
  ] as const)('sees a batch that is %s', async (how, state) => {
    const { batches } = open()
    const { name = '' } = await batches.create({ model, src: hello })
    await end(name, { end: how })
    expect((await batches.get({ name })).state).toBe(state)
  })

  it('cancels a batch, once', async () => {
    const { batches } = open()
    const { name = '' } = await batches.create({ model, src: hello })
    await batches.cancel({ name })
    expect((await batches.get({ name })).state).toBe('JOB_STATE_CANCELLED')
    await batches.cancel({ name })
    await end(name, { end: 'succeeded' })
    expect((await batches.get({ name })).state).toBe('JOB_STATE_CANCELLED')
  })

  it('lists batches in pages, without one that was deleted', async () => {
    const fresh = await emulate()
    const { batches } = sdks[version](fresh.url)
    for (const displayName of ['a', 'b', 'c', 'd', 'e']) await batches.create({ model, src: hello, config: { displayName } })
    const all: (string | undefined)[] = []
    for await (const { displayName, name = '' } of await batches.list({ config: { pageSize: 2 } })) {
      all.push(displayName)
      if (displayName === 'b') await batches.delete({ name })
    }
    expect(all).toEqual(['a', 'b', 'c', 'd', 'e'])
    const pager = await batches.list()
    expect(pager.page.map(({ displayName }) => displayName)).toEqual(['a', 'c', 'd', 'e'])
    await fresh.stop()
  })

  it('is told what is wrong with a batch', async () => {
    const { batches } = open()
    await expect(batches.get({ name: 'batches/missing' })).rejects.toMatchObject({ status: 404 })
    await expect(batches.cancel({ name: 'batches/missing' })).rejects.toMatchObject({ status: 404 })
    await expect(batches.delete({ name: 'batches/missing' })).rejects.toMatchObject({ status: 404 })
    await expect(batches.list({ config: { pageToken: 'made-up' } })).rejects.toMatchObject({ status: 400 })
    const config = { webhookConfig: { uris: ['http://relay.example.com/'] } }
    await expect(batches.create({ model, src: hello, config })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('uris.0'),
    })
  })

  it('names its own address and metadata for a batch, and the end goes there', async () => {
    const receiver = await receive()
    const config = { webhookConfig: { uris: [receiver.url], userMetadata: { job_group: 'nightly', n: 1 } } }
    const { name = '' } = await open().batches.create({ model, src: 'files/input', config })
    await end(name, { end: 'succeeded' })
    const [event] = await eventsOf(receiver.received, 1)
    expect(event).toMatchObject({
      type: 'batch.succeeded',
      version: 'v1',
      timestamp: expect.any(String),
      data: { id: name, output_file_uri: expect.stringMatching(/^https:/), user_metadata: { job_group: 'nightly', n: 1 } },
    })
  })

  it('creates an interaction in the background, and sees it complete', async () => {
    const receiver = await receive()
    const interactions = interactionsOf[version](emulator.url)
    const webhook_config = { uris: [receiver.url], user_metadata: { priority: 'high' } }
    const created = await interactions.create({ model, input: 'Hello', background: true, webhook_config })
    expect(created).toMatchObject({ status: 'in_progress', model })
    await end(created.id, { end: 'completed' })
    const done = await interactions.get(created.id)
    expect(done).toMatchObject({ id: created.id, status: 'completed' })
    expect(JSON.stringify(done)).toContain('An answer of the emulator.')
    const [event] = await eventsOf(receiver.received, 1)
    expect(event).toMatchObject({ type: 'interaction.completed', data: { id: created.id, user_metadata: { priority: 'high' } } })
  })

  it('sees an interaction fail, and one that waits for it', async () => {
    const receiver = await receive()
    const interactions = interactionsOf[version](emulator.url)
    const webhook_config = { uris: [receiver.url] }
    for (const how of [{ end: 'failed', error_code: 'QUOTA', error_message: 'too much' }, { end: 'requires_action' }]) {
      const { id } = await interactions.create({ model, input: 'Hello', background: true, webhook_config })
      await end(id, how)
      expect((await interactions.get(id)).status).toBe(how.end)
    }
    const events = await eventsOf(receiver.received, 2)
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'interaction.failed',
        data: expect.objectContaining({ error_code: 'QUOTA', error_message: 'too much' }),
      }),
    )
    expect(events).toContainEqual(expect.objectContaining({ type: 'interaction.requires_action' }))
  })

  it('cancels an interaction that runs, and deletes one', async () => {
    const interactions = interactionsOf[version](emulator.url)
    const { id } = await interactions.create({ model, input: 'Hello', background: true })
    expect((await interactions.cancel(id)).status).toBe('cancelled')
    await expect(interactions.cancel(id)).rejects.toMatchObject({ status: 400 })
    await interactions.delete(id)
    await expect(interactions.get(id)).rejects.toMatchObject({ status: 404 })
  })

  it('gets the answer of an interaction in the foreground at once, and nothing more', async () => {
    const receiver = await receive()
    const interactions = interactionsOf[version](emulator.url)
    const webhook_config = { uris: [receiver.url] }
    expect(await interactions.create({ model, input: 'Hello', webhook_config })).toMatchObject({ status: 'completed' })
    const { id } = await interactions.create({ model, input: 'Hello', webhook_config, background: true })
    await end(id, { end: 'completed' })
    // Nobody is told what the answer said already.
    expect(await eventsOf(receiver.received, 1)).toMatchObject([{ data: { id } }])
  })
})

describe('a job', () => {
  const headers = { 'x-goog-api-key': 'any', 'content-type': 'application/json' }
  const read = async (path: string) => JSON.parse(await (await fetch(`${emulator.url}${path}`, { headers })).text())

  async function start(path: string, body: unknown, more: Record<string, string> = {}) {
    const init = { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify(body) }
    return JSON.parse(await (await fetch(`${emulator.url}${path}`, init)).text())
  }

  it('is started by the call of the guide too, however its fields are spelled', async () => {
    const receiver = await receive()
    const body = {
      src: 'files/uploaded_file_id',
      config: {
        display_name: 'My Setup',
        webhook_config: { uris: [receiver.url], user_metadata: { job_group: 'nightly-eval' } },
      },
    }
    const { name, metadata } = await start(`/v1/models/${model}:batchCreate`, body, {
      'emulator-end': 'failed',
      'emulator-duration': '1s',
    })
    expect(metadata).toMatchObject({ displayName: 'My Setup', inputConfig: { fileName: 'files/uploaded_file_id' } })
    const [event] = await eventsOf(receiver.received, 1)
    expect(event).toMatchObject({
      type: 'batch.failed',
      data: { id: name, error_code: 'INTERNAL', error_message: expect.any(String), user_metadata: { job_group: 'nightly-eval' } },
    })
    expect(await read(`/v1beta/${name}`)).toMatchObject({
      done: true,
      error: { code: 13 },
      metadata: { state: 'BATCH_STATE_FAILED', batchStats: { requestCount: '10', failedRequestCount: '10' } },
    })
  })

  it('that runs for more than a day expires', async () => {
    const fresh = await emulate()
    const { batches } = sdks['3.x'](fresh.url)
    const { name = '' } = await batches.create({
      model,
      src: hello,
      config: { httpOptions: { headers: { 'emulator-duration': '25h' } } },
    })
    await fresh.steer('POST', '/clock', { advance: '24h' })
    await eventually(
      async () => String((await batches.get({ name })).state),
      (state) => state === 'JOB_STATE_EXPIRED',
    )
    await fresh.stop()
  })

  it('goes on when it is deleted, and its end is still told', async () => {
    const receiver = await receive()
    const body = { batch: { input_config: { file_name: 'files/x' }, webhook_config: { uris: [receiver.url] } } }
    const { name } = await start(`/v1/models/${model}:batchGenerateContent`, body, { 'emulator-duration': '60s' })
    await fetch(`${emulator.url}/v1/${name}`, { method: 'DELETE', headers })
    expect((await eventsOf(receiver.received, 1))[0]).toMatchObject({ type: 'batch.succeeded', data: { id: name } })
  })

  it('is refused what it cannot be', async () => {
    const path = `/v1/models/${model}:batchGenerateContent`
    const file = { batch: { inputConfig: { fileName: 'files/x' } } }
    const metadata = { user_metadata: { long: 'x'.repeat(20_000) } }
    const refused = await Promise.all([
      start(path, {}),
      start(path, { batch: { inputConfig: { requests: { requests: [] } } } }),
      start(path, { batch: { ...file.batch, webhookConfig: metadata } }),
      start(path, file, { 'emulator-end': 'completed' }),
      start(path, file, { 'emulator-duration': 'soon' }),
      start('/v1/interactions', { input: 'x' }),
      start('/v1/interactions', { input: 'x', model, agent: 'deep-research' }),
      start('/v1/interactions', { model }),
      start('/v1/interactions', { input: 'x', model, stream: true }),
    ])
    for (const body of refused) expect(body).toMatchObject({ error: { code: 400 } })
  })
})

async function eventsOf(received: readonly { body: string }[], count: number): Promise<unknown[]> {
  const bodies = await eventually(
    () => received,
    ({ length }) => length === count,
  )
  return bodies.map(({ body }) => JSON.parse(body))
}
