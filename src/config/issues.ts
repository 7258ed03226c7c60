/** What is wrong with a configuration, and where. */
import { RelayError } from '../errors.ts'
import type { Stamps } from './stamp.ts'

export interface Place {
  file: string
  /** 1-based. */
  line: number
  /** 1-based, in UTF-16 units. */
  column: number
}

export interface ConfigIssue extends Place {
  /** Such as `rules[0].to[1].text`; empty for the document. */
  path: string
  /** Never holds a value that came from a variable or a file. */
  message: string
}

/** Where in the document: keys and indexes from its root. */
export type Path = readonly (string | number)[]

/** An issue before it is placed. */
export interface Fault {
  path: Path
  /** Points at the key of the path rather than at its value. */
  at?: 'key'
  /** How far inside the text at `path`, in UTF-16 units. */
  offset?: number
  message: string
  /**
   * The message quotes the value, so it is withheld when the value came from a variable or a file; `whole`: it quotes a map or list, and
   * anything in it may have come so.
   */
  quotes?: true | 'whole'
  /** It says that there is no such thing, which may be in a file that could not be taken in. */
  absent?: true
}

/** Every problem of a configuration, in the order of the file. */
export class ConfigError extends RelayError {
  readonly issues: readonly ConfigIssue[]
  /** Files and directories that may have to change. */
  readonly looked: Stamps
  constructor(file: string, issues: readonly ConfigIssue[], looked: Stamps = new Map()) {
    const count = issues.length === 1 ? 'a problem' : `${issues.length} problems`
    super('config_invalid', `${count} in ${file}\n${formatIssues(issues)}`)
    this.name = 'ConfigError'
    this.issues = issues
    this.looked = looked
  }
}

/** Of a file that says nothing because it cannot be read. */
export function issueOfFile(file: string, message: string): ConfigIssue {
  return { file, line: 1, column: 1, path: '', message }
}

/** One line each: `file:line:column: message`, which editors and terminals make a link of. */
export function formatIssues(issues: readonly ConfigIssue[]): string {
  return issues.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n')
}

export function formatPath(path: Path): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index === 0 ? step : `.${step}`)).join('')
}

/** The innermost named part of a path, with its indexes: `brokers[0]`. */
export function labelOf(path: Path): string {
  if (path.length === 0) return 'configuration'
  const named = path.findLastIndex((step) => typeof step === 'string')
  return formatPath(path.slice(Math.max(named, 0)))
}

/** A fault with its place, and where it was written: elsewhere, if it came by an alias. */
export interface Found {
  place: Place
  origin: Place
  path: Path
  message: string
}

/** Less what an alias or `<<` brought from where it is said already. There it may be called by another key. */
export function saidOnce(faults: readonly Found[]): ConfigIssue[] {
  const nameless = ({ path, message }: Found) => message.replace(`\`${labelOf(path)}\``, '')
  const said = new Set(faults.map((fault) => `${placeText(fault.place)} ${nameless(fault)}`))
  const isEcho = (fault: Found) =>
    placeText(fault.place) !== placeText(fault.origin) && said.has(`${placeText(fault.origin)} ${nameless(fault)}`)
  return faults
    .filter((fault) => !isEcho(fault))
    .map(({ place, path, message }) => ({ ...place, path: formatPath(path), message }))
}

export function placeText({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`
}
