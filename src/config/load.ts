/** From a file to a configuration that can be relied on, or to every reason why not. */
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { compileRules, type Plan } from '../route/plan.ts'
import { caseFaults } from './case-faults.ts'
import { compose, type Composed } from './compose.ts'
import { delayFaults } from './delay-faults.ts'
import type { Expansion } from './expand.ts'
import { readConfigFiles, type FileAccess } from './include.ts'
import { ConfigError, labelOf, placeText, saidOnce, type ConfigIssue, type Fault, type Path, type Place } from './issues.ts'
import { headerFaults } from './headers.ts'
import { noteHeaderSecrets } from './header-secrets.ts'
import { withJobOrder } from './job-messages.ts'
import { languageFaults } from './languages.ts'
import { at, textsUnder } from './raw.ts'
import { referenceFaults } from './references.ts'
import { configSchema, type Config } from './schema.ts'
import { secretFaults } from './secrets.ts'
import { slackFaults } from './slack-faults.ts'
import type { Stamps } from './stamp.ts'
import { passedOverFaults, shapeFaults } from './shape.ts'
import { doubts } from './doubts.ts'

export interface LoadOptions extends Partial<Omit<FileAccess, 'env'>>, Pick<FileAccess, 'env'> {
  file: string
}

export interface LoadedConfig {
  config: Config
  /** As given. */
  file: string
  /** This one and those that it includes. */
  files: readonly string[]
  /** Of the texts of its files, before anything in them is expanded: two relays with the same one were told the same. */
  hash: string
  /** Files and directories whose change may make it another configuration. */
  looked: Stamps
  plan: Plan
  /** What is allowed and probably not meant. Worked out when first asked for. */
  readonly warnings: readonly ConfigIssue[]
  /** Where something in it was written. */
  place: (path: Path) => Place
}

/**
 * Loads a configuration. Nothing is opened or connected to.
 *
 * @throws ConfigError with every issue at once
 */
export function loadConfig({ file, env, readFile = readText, listFiles = readNames, standIn }: LoadOptions): LoadedConfig {
  const files = readConfigFiles(file, { env, readFile, listFiles, standIn })
  const composed = compose(files)
  const { json } = composed
  if (json === undefined) throw new ConfigError(file, composed.issues, files.looked)

  const parsed = configSchema.safeParse(json)
  const found = [
    ...(parsed.success ? [] : shapeFaults(parsed.error, json)),
    ...passedOverFaults(json),
    ...referenceFaults(json),
    ...languageFaults(json),
    ...headerFaults(json),
    ...delayFaults(json),
    ...secretFaults(json),
    ...slackFaults(json),
    ...caseFaults(json),
  ]
  const own = found.filter((fault) => !isConsequence(composed, fault))
  const issues = unique([...composed.issues, ...issuesOf(composed, own)])
  if (!parsed.success || issues.length > 0) throw new ConfigError(file, issues, files.looked)
  // What is made up is no secret.
  const valuesAt = (path: Path) => (standIn === undefined ? (composed.expansion(path)?.values ?? []) : [])
  const config = noteHeaderSecrets(withJobOrder(parsed.data), valuesAt)
  const all = [files.main, ...files.included]
  let warnings: readonly ConfigIssue[] | undefined
  return {
    config,
    file,
    files: all.map((one) => one.file),
    hash: hashOf(all),
    looked: files.looked,
    plan: compileRules(config),
    get warnings() {
      return (warnings ??= unique(issuesOf(composed, doubts(config))))
    },
    place: (path) => composed.place({ path, message: '' }),
  }
}

/** A reference that could not be resolved is the reason for whatever else is said about that value, and a file that is none for what lacks. */
function isConsequence(composed: Composed, { path, absent }: Fault): boolean {
  return (absent === true && composed.isPartial) || (composed.expansion(path)?.faults ?? []).length > 0
}

/** Of one file it is the beginning of what `sha256sum` prints. */
function hashOf(files: readonly { text: string }[]): string {
  const hash = createHash('sha256')
  for (const { text } of files) hash.update(text)
  return hash.digest('hex').slice(0, hashLength)
}

/** Enough to tell a few thousand configurations apart, short enough for a line of a log. */
const hashLength = 12

/**
 * Those of a file together, in its order. Alternatives of one value can all fail for the same reason, and so can all sinks that take over one
 * setting.
 */
function unique(issues: readonly ConfigIssue[]): ConfigIssue[] {
  const files = [...new Set(issues.map(({ file }) => file))]
  const byText = new Map(issues.map((issue) => [`${placeText(issue)} ${issue.message}`, issue]))
  return [...byText.values()].toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || byPlace(a, b))
}

function issuesOf(composed: Composed, faults: readonly Fault[]): ConfigIssue[] {
  return saidOnce(
    faults.map((fault) => ({
      place: composed.place(fault),
      origin: composed.origin(fault),
      path: fault.path,
      message: messageFor(composed, fault),
    })),
  )
}

/** What came from a variable or a file may be a secret, and may be empty for a reason that is not in this file. */
function messageFor(composed: Composed, { path, at: place, message, quotes }: Fault): string {
  const [expansion] = place === 'key' ? [] : expansionsAt(composed, path, quotes)
  if (expansion === undefined) return message
  const origin = expansion.references.map((reference) => `\`${reference}\``).join(', ')
  if (expansion.text === '') return `\`${labelOf(path)}\` needs a value, and ${origin} expands to nothing`
  return quotes !== undefined
    ? `\`${labelOf(path)}\` is not valid; its value comes from ${origin} and is not shown`
    : `${message} (the value comes from ${origin})`
}

function expansionsAt({ json, expansion }: Composed, path: Path, quotes: Fault['quotes']): Expansion[] {
  const paths = quotes === 'whole' ? textsUnder(at(json, path), path).map((text) => text.path) : [path]
  return paths.flatMap((one) => expansion(one) ?? [])
}

function byPlace(one: ConfigIssue, other: ConfigIssue): number {
  return one.line - other.line || one.column - other.column
}

function readText(path: string): string {
  return readFileSync(path, 'utf8')
}

function readNames(directory: string): string[] {
  return readdirSync(directory)
}
