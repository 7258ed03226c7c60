/** How long the shipped configuration takes from the command to the first 200 of /readyz. */
import { readFileSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../setup/free-ports.ts'
import { launchRelay } from '../setup/relay-process.ts'
import { root } from '../setup/root.ts'
import { makeServerDir } from '../setup/server-dir.ts'
import type { Bench, Result } from './bench.ts'
import { secret } from './servers.ts'
import { median, rounded, spread } from './statistics.ts'

const yaml = readFileSync(join(root, 'config/relay.yaml'), 'utf8')

/** Often enough to tell of milliseconds, seldom enough to leave the machine to the relay. */
const askEveryMs = 5
const limitMs = 60_000

/** Seconds. */
interface Times {
  existing: number[]
  freshEmbedded: number[]
  embeddedAgain: number[]
}

export async function runStart(bench: Bench): Promise<Result> {
  const times: Times = { existing: [], freshEmbedded: [], embeddedAgain: [] }
  const url = await bench.postgres.createDatabase('start')
  await start({ DATABASE_URL: url }) // migrates
  for (let repeat = 0; repeat < bench.repeats; repeat++) {
    bench.probe()
    times.existing.push(await start({ DATABASE_URL: url }))
    const dir = makeServerDir('gemini-relay-start-')
    try {
      times.freshEmbedded.push(await start({ RELAY_DATA_DIR: dir }))
      times.embeddedAgain.push(await start({ RELAY_DATA_DIR: dir }))
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
    bench.say(
      `start, ${repeat + 1}/${bench.repeats}: ${Object.entries(times)
        .map(([name, each]) => `${name} ${rounded(each.at(-1) ?? Number.NaN)} s`)
        .join(', ')}`,
    )
  }
  return resultOf(bench, times)
}

/** @returns seconds */
async function start(env: Record<string, string>): Promise<number> {
  const [port = 0] = await freePorts(1)
  const begun = performance.now()
  const relay = launchRelay({
    yaml,
    env: { RELAY_HOST: '127.0.0.1', PORT: String(port), GEMINI_WEBHOOK_SECRET: secret, ...env },
  })
  try {
    await Promise.race([untilReady(port), relay.ready.then(() => untilReady(port))])
    return (performance.now() - begun) / 1_000
  } finally {
    await relay.stop()
  }
}

async function untilReady(port: number): Promise<void> {
  for (const begun = performance.now(); performance.now() - begun < limitMs; await sleep(askEveryMs)) {
    if ((await statusOf(port)) === 200) return
  }
  throw new Error(`the relay is not ready after ${limitMs / 1_000} s`)
}

/** Undefined while nobody listens. */
async function statusOf(port: number): Promise<number | undefined> {
  return await new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', () => resolve(undefined))
  })
}

function resultOf(bench: Bench, { existing, freshEmbedded, embeddedAgain }: Times): Result {
  return {
    json: {
      existing_s: rounded(median(existing)),
      fresh_embedded_s: rounded(median(freshEmbedded)),
      embedded_again_s: rounded(median(embeddedAgain)),
      runs: { existing, freshEmbedded, embeddedAgain },
    },
    tables: {
      [`Start: seconds until /readyz says 200; medians of ${bench.repeats} (spread)`]: [
        ['database', 'seconds'],
        ['existing', spread(existing, 2)],
        ['embedded, fresh', spread(freshEmbedded, 2)],
        ['embedded, again', spread(embeddedAgain, 2)],
      ],
    },
  }
}
