/** Writes a first configuration, and the key that it needs. What is there already is never written over. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig, type LoadedConfig } from '../../config/load.ts'
import { generateKey } from '../../encryption.ts'
import { messageOf, RelayError } from '../../errors.ts'
import { configText } from './config-text.ts'

export interface WriteOptions {
  file: string
  port: number
  /** With `--gemini`: the public address of the source. */
  uri: string | undefined
  env: Readonly<Record<string, string | undefined>>
}

const schemaFile = fileURLToPath(new URL('../../../config/relay.schema.json', import.meta.url))

/** Beside the configuration. */
const keyFile = 'secrets/encryption_key'

/**
 * @returns what was made, a line each
 * @throws RelayError `config_invalid` where there is a file of that name
 */
export function writeConfig({ file, port, uri, env }: WriteOptions): string[] {
  if (existsSync(file)) throw exists(file)
  const beside = dirname(resolve(file))
  const ownKey = uri !== undefined && !env['RELAY_ENCRYPTION_KEY']
  const gemini = uri === undefined ? {} : { gemini: { uri, keyFile: ownKey ? keyFile : undefined } }
  const text = configText({ schema: relative(beside, schemaFile), port, ...gemini })
  // What is not valid is told before anything is written.
  const readFile = (path: string) => (path === file ? text : generateKey())
  loadConfig({ file, env, readFile })
  try {
    mkdirSync(beside, { recursive: true })
    const made = ownKey ? makeKey(join(beside, keyFile)) : []
    writeFileSync(file, text, { flag: 'wx' })
    return [...made, `${file} is written`]
  } catch (error) {
    if (hasCode(error, 'EEXIST')) throw exists(file)
    throw new RelayError('config_invalid', `cannot write ${file}: ${messageOf(error)}`, { cause: error })
  }
}

/** One that is there was made by a run that ended early: something may be encrypted with it. */
function makeKey(path: string): string[] {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    writeFileSync(join(dirname(path), '.gitignore'), '*\n', { flag: 'wx' })
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
  }
  try {
    writeFileSync(path, `${generateKey()}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return []
    throw error
  }
  return [`${path} holds the key that encrypts signing secrets: keep it, and apart from the database`]
}

function exists(file: string): RelayError {
  return new RelayError('config_invalid', `${file} exists, and is not written over`, {
    hint: '--config FILE names another; to go on with this one, declare the webhook under gemini.webhooks and run `gemini-relay webhooks apply`, then `gemini-relay webhooks ping ID`',
  })
}

export interface Existing {
  loaded: LoadedConfig
  /** As it is spelled there. */
  uri: string
}

/** The configuration of an earlier run, which declares a webhook for this address. */
export function readExisting(file: string, uri: string, env: WriteOptions['env']): Existing | undefined {
  if (!existsSync(file)) return undefined
  const loaded = loadConfig({ file, env })
  const declared = Object.values(loaded.config.gemini.webhooks).find((webhook) => new URL(webhook.uri).href === uri)
  return declared && { loaded, uri: declared.uri }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
