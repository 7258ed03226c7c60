/** From a file to a configuration that can be relied on, or to every reason why not. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { messageOf, RelayError } from '../errors.ts'
import { compileRules, type Plan } from '../route/plan.ts'
import { caseFaults } from './case-faults.ts'
import { readDocument, type ConfigDocument } from './document.ts'
import { ConfigError, formatPath, labelOf, type ConfigIssue, type Fault, type Path } from './issues.ts'
import { headerFaults } from './headers.ts'
import { noteHeaderSecrets } from './header-secrets.ts'
import { languageFaults } from './languages.ts'
import { referenceFaults } from './references.ts'
import { configSchema, type Config } from './schema.ts'
import { secretFaults } from './secrets.ts'
import type { StandIn } from './stand-ins.ts'
import { passedOverFaults, shapeFaults } from './shape.ts'
import { doubts } from './doubts.ts'

/** Relative to the working directory. */
export const defaultConfigFile = 'config/relay.yaml'

export interface LoadOptions {
  file: string
  env: Readonly<Record<string, string | undefined>>
  /** Reads the file, and those that `${file:…}` names, as UTF-8; throws when it cannot. */
  readFile?: (path: string) => string
  /** Made-up values for what is not set, where nothing is to be connected to. */
  standIn?: StandIn
}

export interface LoadedConfig {
  config: Config
  /** As given. */
  file: string
  plan: Plan
  /** What is allowed and probably not meant. */
  warnings: readonly ConfigIssue[]
}

/**
 * Loads a configuration. Nothing is opened or connected to.
 *
 * @throws ConfigError with every issue at once
 * @throws RelayError `config_invalid` when the file cannot be read
 */
export function loadConfig({ file, env, readFile = readText, standIn }: LoadOptions): LoadedConfig {
  const text = contentOf(file, readFile)
  const document = readDocument(text, { env, readFile: (path) => readFile(resolve(dirname(file), path)), standIn })
  const issued = (faults: readonly Fault[]) => issuesOf(document, file, faults)
  const spoiled = document.faults.map(({ position, path, message }) => ({ file, ...position, path: formatPath(path), message }))
  if (document.json === undefined) throw new ConfigError(file, spoiled)

  const parsed = configSchema.safeParse(document.json)
  const shape = parsed.success ? [] : shapeFaults(parsed.error, document.json)
  const found = issued([
    ...shape,
    ...passedOverFaults(document.json),
    ...referenceFaults(document.json),
    ...languageFaults(document.json),
    ...headerFaults(document.json),
    ...secretFaults(document.json),
    ...caseFaults(document.json),
  ])
  // A reference that could not be resolved is the reason for whatever else is said about that value.
  const unresolved = new Set(spoiled.map(({ path }) => path).filter((path) => path !== ''))
  const issues = unique([...spoiled, ...found.filter(({ path }) => !unresolved.has(path))])
  if (!parsed.success || issues.length > 0) throw new ConfigError(file, issues.toSorted(byPlace))
  // What is made up is no secret.
  const valuesAt = (path: Path) => (standIn === undefined ? (document.expansion(path)?.values ?? []) : [])
  const config = noteHeaderSecrets(parsed.data, valuesAt)
  return { config, file, plan: compileRules(config), warnings: issued(doubts(config)).toSorted(byPlace) }
}

/** Alternatives of one value can all fail for the same reason. */
function unique(issues: readonly ConfigIssue[]): ConfigIssue[] {
  return [...new Map(issues.map((issue) => [`${issue.line}:${issue.column}:${issue.message}`, issue])).values()]
}

function issuesOf(document: ConfigDocument, file: string, faults: readonly Fault[]): ConfigIssue[] {
  return faults.map((fault) => ({
    file,
    ...document.place(fault),
    path: formatPath(fault.path),
    message: messageFor(document, fault),
  }))
}

/** What came from a variable or a file may be a secret, and may be empty for a reason that is not in this file. */
function messageFor(document: ConfigDocument, { path, at, message, quotes }: Fault): string {
  const expansion = at === 'key' ? undefined : document.expansion(path)
  if (expansion === undefined) return message
  const origin = expansion.references.map((reference) => `\`${reference}\``).join(', ')
  if (expansion.text === '') return `\`${labelOf(path)}\` needs a value, and ${origin} expands to nothing`
  return quotes === true
    ? `\`${labelOf(path)}\` is not valid; its value comes from ${origin} and is not shown`
    : `${message} (the value comes from ${origin})`
}

function byPlace(one: ConfigIssue, other: ConfigIssue): number {
  return one.line - other.line || one.column - other.column
}

function contentOf(file: string, readFile: (path: string) => string): string {
  try {
    return readFile(file)
  } catch (error) {
    const hint = `--config FILE names another; without it, it is ${defaultConfigFile} under the working directory`
    throw new RelayError('config_invalid', `cannot read the configuration ${file}: ${messageOf(error)}`, { cause: error, hint })
  }
}

function readText(path: string): string {
  return readFileSync(path, 'utf8')
}
