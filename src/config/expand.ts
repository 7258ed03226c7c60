/** `${VAR}`, `${VAR:-default}` and `${file:/path}` inside a text; `$${` stands for a plain `${`. */
import { messageOf, property } from '../errors.ts'

export interface ExpandSources {
  env: Readonly<Record<string, string | undefined>>
  /** Reads a file named by `${file:…}`; throws when it cannot. */
  readFile: (path: string) => string
  /** What an unset variable or an unreadable `file:…` stands for instead of being a fault. */
  standIn?: ((reference: string) => string) | undefined
}

export interface Expansion {
  text: string
  /** As written: `${VAR}`. Empty when there was nothing but escapes. */
  references: readonly string[]
  /** What they stand for. */
  values: readonly string[]
  faults: readonly { offset: number; message: string }[]
}

const reference = /\$\$\{|\$\{([^}]*)(\}?)/g
const nested = /^(file:|[A-Za-z_][A-Za-z0-9_]*:-).*\$\{/s
const variable = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s

/** A default applies when the variable is unset or empty, as in a shell. */
export function expand(source: string, sources: ExpandSources): Expansion {
  const references: string[] = []
  const values: string[] = []
  const faults: { offset: number; message: string }[] = []
  const text = source.replace(
    reference,
    (whole: string, inner: string | undefined, close: string | undefined, offset: number) => {
      if (inner === undefined) return '${'
      const { value, fault } =
        close === '' && !nested.test(inner)
          ? { fault: 'a `${` is never closed; `$${` stands for a plain one' }
          : resolve(inner, sources)
      if (fault !== undefined) faults.push({ offset, message: fault })
      references.push(shownReference(inner))
      if (value !== undefined) values.push(value)
      return value ?? whole
    },
  )
  return { text, references, values, faults }
}

function resolve(inner: string, { env, readFile, standIn }: ExpandSources): { value?: string; fault?: string } {
  if (nested.test(inner)) return { fault: 'references cannot be nested: a default, or the path of a file, is plain text' }
  if (inner.startsWith('file:')) {
    const content = contentOf(inner.slice('file:'.length), readFile)
    return content.fault === undefined || standIn === undefined ? content : { value: standIn(inner) }
  }
  const [, name, fallback] = variable.exec(inner) ?? []
  if (name === undefined)
    return { fault: 'expected `${VAR}`, `${VAR:-default}` or `${file:/path}`; `$${` stands for a plain `${`' }
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (fallback !== undefined) return { value: value === undefined || value === '' ? fallback : value }
  if (value === undefined && standIn !== undefined) return { value: standIn(name) }
  return value === undefined
    ? { fault: `\`${name}\` is not set in the environment; \`\${${name}:-}\` would make it optional` }
    : { value }
}

function contentOf(path: string, readFile: ExpandSources['readFile']): { value?: string; fault?: string } {
  try {
    return { value: readFile(path).replace(/\r?\n$/, '') }
  } catch (error) {
    return { fault: `cannot read the file \`${path}\`: ${reasonUnreadable(error)}` }
  }
}

/** A default may be a secret, of a development set-up say: it is not repeated. */
function shownReference(inner: string): string {
  return `\${${inner.replace(/:-.*$/s, '')}}`
}

const plainCodes: Record<string, string> = { ENOENT: 'there is none', EACCES: 'permission denied', EISDIR: 'it is a directory' }

/** Why a file cannot be read, without its path. */
export function reasonUnreadable(error: unknown): string {
  const code = property(error, 'code')
  return typeof code === 'string' ? (plainCodes[code] ?? code) : messageOf(error)
}
