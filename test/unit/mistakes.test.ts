import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError, formatIssues } from '../../src/config/issues.ts'
import { loadConfig } from '../../src/config/load.ts'
import { mistakes } from '../fixtures/mistakes.ts'
import { root } from '../setup/root.ts'
import { secret } from '../setup/sender.ts'

const env = {
  GEMINI_WEBHOOK_SECRET: secret,
  GEMINI_WEBHOOK_AUDIENCE: 'an-audience',
  SLACK_BOT_TOKEN: 'xoxb-made-up',
  SLACK_API_URL: 'http://127.0.0.1:1/api/',
  KAFKA_BROKERS: '127.0.0.1:1',
  JWKS_URI: 'http://127.0.0.1:1/jwks.json',
  DEMO_TOPIC: 'demo',
  POSTGRES_USER: 'relay',
  POSTGRES_HOST: 'postgres',
  POSTGRES_DB: 'relay',
}

function readText(path: string): string {
  return readFileSync(path, 'utf8')
}

/** Mistakes and doubts alike, as `check` prints them, without the file. */
function findingsIn(file: string, readFile = readText): string[] {
  try {
    return lines(formatIssues(loadConfig({ file, env, readFile }).warnings))
  } catch (error) {
    if (error instanceof ConfigError) return lines(formatIssues(error.issues))
    throw error
  }

  function lines(text: string): string[] {
    return text.split('\n').flatMap((line) => (line === '' ? [] : [line.slice(file.length + 1)]))
  }
}

describe('a mistake is found in its place, and nothing else', () => {
  it.each(mistakes)('$name', ({ file, expected }) => {
    expect(findingsIn(file)).toEqual([expected])
  })
})

describe('what is shipped holds none', () => {
  // config/examples is looked at by examples.test.ts.
  const shipped = readdirSync(join(root, 'config'))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => `config/${name}`)

  it('is there', () => {
    expect(shipped).toContain('config/relay.yaml')
  })

  it.each(shipped)('%s', (file) => {
    const readFile = (path: string) => (path.startsWith('/') ? secretFile(path) : readFileSync(join(root, path), 'utf8'))
    expect(findingsIn(file, readFile)).toEqual([])
  })
})

/** Whatever `${file:…}` names under /run/secrets. */
function secretFile(path: string): string {
  return path.includes('webhook_secret') ? secret : 'made-up'
}
