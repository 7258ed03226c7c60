/** The files that a configuration is made of: the main one, and those that its `include` names. */
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { readDocument, type ConfigDocument, type DocumentSources } from './document.ts'
import { reasonUnreadable } from './expand.ts'
import { ConfigError, issueOfFile, type Fault, type Path } from './issues.ts'
import { at, isMap } from './raw.ts'
import { stampOf, type Stamps } from './stamp.ts'

/** Relative to the working directory. */
export const defaultConfigFile = 'config/relay.yaml'

export interface FileAccess extends Pick<DocumentSources, 'env' | 'standIn'> {
  /** Reads a file as UTF-8; throws when it cannot. */
  readFile: (path: string) => string
  /** Names of the files in a directory; throws when it cannot be read. */
  listFiles: (directory: string) => readonly string[]
}

export interface ConfigFile {
  /** As given, or beside the one that includes it. */
  file: string
  text: string
  document: ConfigDocument
}

export interface ConfigFiles {
  main: ConfigFile
  /** In the order in which they are named. */
  included: readonly ConfigFile[]
  /** Of `include` itself; their paths are of the main file. */
  faults: readonly Fault[]
  /** What was looked at: files, those of `${file:…}` too, and directories that `*` went through. */
  looked: Stamps
}

/** @throws ConfigError when the main file cannot be read */
export function readConfigFiles(file: string, access: FileAccess): ConfigFiles {
  const looked = new Map<string, string>()
  const main = readMain()
  const faults: Fault[] = []
  const included: ConfigFile[] = []
  for (const { name, path } of includesOf(main.document.json)) {
    for (const found of filesNamed(name, path)) {
      if (found === file || included.some((other) => other.file === found)) {
        faults.push({ path, message: `\`include\`: ${found} is there already`, quotes: true })
        continue
      }
      try {
        included.push(readOne(found))
      } catch (error) {
        faults.push({ path, message: `\`include\`: cannot read ${found}: ${reasonUnreadable(error)}`, quotes: true })
      }
    }
  }
  return { main, included, faults, looked }

  /** Throws what `readFile` throws. */
  function readOne(path: string): ConfigFile {
    look(path)
    const text = access.readFile(path)
    const { env, standIn } = access
    const document = readDocument(text, {
      env,
      standIn,
      readFile(named) {
        const beside = resolve(dirname(path), named)
        look(beside)
        return access.readFile(beside)
      },
    })
    return { file: path, text, document }
  }

  /** Before it is read: what changes while it is read has changed since. */
  function look(path: string): void {
    looked.set(path, stampOf(path))
  }

  function readMain(): ConfigFile {
    try {
      return readOne(file)
    } catch (error) {
      const hint = `--config FILE names another; without it, it is ${defaultConfigFile} under the working directory`
      const message = `cannot read the configuration: ${reasonUnreadable(error)} (${hint})`
      throw new ConfigError(file, [issueOfFile(file, message)], looked)
    }
  }

  /** One file, or those that `*` in the last part of a name stands for; not the cases beside them. */
  function filesNamed(name: string, path: Path): readonly string[] {
    const named = isAbsolute(name) ? name : join(dirname(file), name)
    if (!name.includes('*')) return [named]
    const directory = dirname(named)
    if (directory.includes('*')) {
      faults.push({ path, message: '`include`: `*` may stand in the last part of a name only', quotes: true })
      return []
    }
    look(directory)
    const fits = new RegExp(`^${basename(named).split('*').map(escaped).join('.*')}$`)
    const found = listed(directory).filter((one) => fits.test(one) && !/\.test\.ya?ml$/i.test(one))
    if (found.length === 0) faults.push({ path, message: '`include`: there is no such file', quotes: true })
    return found.toSorted().map((one) => join(directory, one))
  }

  function listed(directory: string): readonly string[] {
    try {
      return access.listFiles(directory)
    } catch {
      return []
    }
  }
}

/** What is no text, or an empty one, is for the schema to refuse. */
function includesOf(json: unknown): { name: string; path: Path }[] {
  const include = at(json, ['include'])
  const named = Array.isArray(include)
    ? include.map((name: unknown, n) => ({ name, path: ['include', n] }))
    : [{ name: include, path: ['include'] }]
  return named.flatMap(({ name, path }) => (typeof name === 'string' && name !== '' ? [{ name, path }] : []))
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** What an included file may hold, each joined with the same of the others: maps by their names, lists in the order of the files. */
export const sharedMaps = ['sources', 'sinks'] as const
export const sharedLists = ['rules', 'tests'] as const

/** What does not belong into an included file, or not so. */
export function misplacedFaults({ document: { json } }: ConfigFile): Fault[] {
  const listing = [...sharedMaps, ...sharedLists].map((key) => `\`${key}\``).join(', ')
  if (!isMap(json)) return [{ path: [], message: `expected a map: an included file holds ${listing}` }]
  return Object.entries(json).flatMap(([key, value]): Fault[] => {
    const isList = sharedLists.some((one) => one === key)
    if (!isList && !sharedMaps.some((one) => one === key))
      return [{ path: [key], at: 'key', message: `\`${key}\`: an included file holds ${listing} and nothing else` }]
    if (isList ? Array.isArray(value) : isMap(value)) return []
    return [{ path: [key], message: `\`${key}\`: expected a ${isList ? 'list' : 'map'}` }]
  })
}
