/** What docs/gemini.md shows, from top to bottom, against the emulator. */
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { createTestDatabase } from '../setup/database.ts'
import { emulate, sdks } from '../setup/emulator.ts'
import { freePorts } from '../setup/free-ports.ts'
import { binary, spawnRelay } from '../setup/relay-process.ts'
import { root } from '../setup/root.ts'
import { eventually, secret } from '../setup/sender.ts'
import { cli } from '../setup/cli.ts'

const page = readFileSync(join(root, 'docs/gemini.md'), 'utf8')

function blocks(language: string): string[] {
  return [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, found, text = '']) => (found === language ? [text] : []))
}

const shown = 'https://relay.example.com'

it('has commands that work one after the other', async () => {
  const gemini = await emulate()
  const database = await createTestDatabase()
  const directory = mkdtempSync(join(tmpdir(), 'gemini-relay-page-'))
  const [port = 0] = await freePorts(1)
  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    GOOGLE_GEMINI_BASE_URL: gemini.url,
    RELAY_HOST: '127.0.0.1',
    PORT: String(port),
  }
  onTestFinished(async () => {
    await gemini.stop()
    rmSync(directory, { recursive: true, force: true })
    await database.drop()
  })
  const { webhooks } = sdks['3.x'](gemini.url)
  const ran: [string, number][] = []
  for (const line of blocks('sh').flatMap((block) => block.trim().split('\n'))) {
    const [, name, value] = /^export (\w+)=(\S+)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) env[name] = name === 'RELAY_CONFIG' ? join(directory, value) : value
    else if (line === 'gemini-relay serve') {
      const relay = spawn(process.execPath, [binary, 'serve'], { env: { PATH: process.env.PATH, ...env }, stdio: 'ignore' })
      onTestFinished(() => void relay.kill('SIGTERM'))
      await eventually(
        () =>
          fetch(`http://127.0.0.1:${port}/livez`).then(
            ({ ok }) => ok,
            () => false,
          ),
        (ok) => ok,
      )
    } else {
      // The one that was made by hand, as soon as there is one.
      const id = (await webhooks.list()).webhooks?.find((one) => one.name === 'other')?.id ?? ''
      const args = line
        .replace(/^gemini-relay /, '')
        .replace(shown, `http://127.0.0.1:${port}`)
        .replace('wh_123', id)
      const { code, stdout, stderr } = await cli(args.split(' '), env)
      ran.push([`${line}: ${stdout}${stderr}`, code])
    }
  }
  expect(ran.filter(([, code]) => code !== 0)).toEqual([])
  expect(ran.length).toBeGreaterThan(14)
  const printed = ran.filter(([line]) => line.includes(' config ')).map(([line]) => /\{.*\}/.exec(line)?.[0] ?? '')
  expect(printed.map((text): unknown => JSON.parse(text))).toEqual([
    { uris: [`http://127.0.0.1:${port}/webhooks/gemini`], user_metadata: { job_group: 'nightly', priority: 'high' } },
    { uris: [`http://127.0.0.1:${port}/webhooks/gemini`], userMetadata: { job_group: 'nightly' } },
  ])
}, 120_000)

it('has jobs whose metadata drives the rules', async () => {
  const gemini = await emulate()
  const database = await createTestDatabase()
  const example = blocks('yaml').find((block) => block.includes('user_metadata:')) ?? ''
  const { audience } = z.object({ audience: z.string() }).parse((await gemini.steer('POST', '/settings', {})).body)
  const yaml = example.replace(/dynamic: \{/, `dynamic: { jwks_uri: "${gemini.jwksUri}",`)
  const relay = await spawnRelay({
    yaml: `server: { host: 127.0.0.1, port: 0 }\ndatabase: { url: "\${DATABASE_URL}" }\n${yaml}`,
    env: { DATABASE_URL: database.url, GEMINI_WEBHOOK_SECRET: secret, GEMINI_WEBHOOK_AUDIENCE: audience },
  })
  const db = new pg.Pool({ connectionString: database.url, max: 1 })
  onTestFinished(async () => {
    await relay.stop()
    await gemini.stop()
    await db.end()
    await database.drop()
  })
  const script = (blocks('js')[0] ?? '').replace(shown, relay.url)
  const env = { PATH: process.env.PATH, GOOGLE_GEMINI_BASE_URL: gemini.url, GEMINI_API_KEY: 'any' }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: root, env })
  const [batch = '', interaction = ''] = stdout.trim().split(' ')
  await gemini.steer('POST', '/clock', { advance: '1m' })
  const delivered = await eventually(
    async () =>
      (
        await db.query(`select e.subject, d.rule from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id
       where d.state = 'delivered' order by d.rule, e.subject`)
      ).rows,
    ({ length }) => length >= 3,
  )
  expect(delivered).toEqual([
    ...[batch, interaction].toSorted().map((subject) => ({ subject, rule: 'nightly' })),
    { subject: batch, rule: 'urgent' },
  ])
  expect((await db.query('select distinct job_group from gemini_jobs')).rows).toEqual([{ job_group: 'nightly' }])
})
