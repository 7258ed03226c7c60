/** One configuration out of its files, and for everything in it the place where it was written. */
import type { Expansion } from './expand.ts'
import { misplacedFaults, sharedLists, sharedMaps, type ConfigFile, type ConfigFiles } from './include.ts'
import { formatPath, type ConfigIssue, type Fault, type Path, type Place } from './issues.ts'
import { at, isMap, listOf, type RawMap } from './raw.ts'
import { withDefaults, writtenAt } from './sink-defaults.ts'

export interface Composed {
  /** Included files joined, defaults filled in; undefined where the main file is no YAML. */
  json: unknown
  /** Something of the files is not in it, for reasons that are among the issues. */
  isPartial: boolean
  /** What is wrong with the texts themselves, with their references, and with how they are put together. */
  issues: readonly ConfigIssue[]
  place: (fault: Fault) => Place
  /** As `place`, but of what came by an alias: where it was written. */
  origin: (fault: Fault) => Place
  /** The references that the text at a path was made from; undefined when it stands as it was written. */
  expansion: (path: Path) => Expansion | undefined
}

interface Written {
  from: ConfigFile
  path: Path
}

export function compose({ main, included, faults }: ConfigFiles): Composed {
  const files = [main, ...included]
  const isBroken = main.document.json === undefined
  const read = included.filter(({ document }) => document.json !== undefined)
  const misplaced = read.flatMap((file) => misplacedFaults(file).map((fault) => ({ file, fault })))
  const isPartial = faults.length > 0 || read.length < included.length || misplaced.some(({ fault }) => fault.at !== 'key')
  const owners = new Map<string, Written>()
  const twice: ConfigIssue[] = []
  const usable = read.filter(({ document }) => isMap(document.json))
  const joined = isBroken ? undefined : usable.reduce(join, claimed(main))
  return {
    json: isBroken ? undefined : withDefaults(isPartial ? withSources(joined) : joined),
    isPartial,
    issues: [
      ...files.flatMap(spoiledIn),
      ...faults.map((fault) => placedIn(main, fault)),
      ...misplaced.map(({ file, fault }) => placedIn(file, fault)),
      ...twice,
    ],
    place(fault) {
      const { from, path } = written(fault.path)
      return { file: from.file, ...from.document.place({ ...fault, path }) }
    },
    origin(fault) {
      const { from, path } = written(fault.path)
      return { file: from.file, ...from.document.origin({ ...fault, path }) }
    },
    expansion(path) {
      const { from, path: inFile } = written(path)
      return from.document.expansion(inFile)
    },
  }

  /** The main file as it is; it owns what it holds. */
  function claimed(from: ConfigFile): unknown {
    const { json } = from.document
    for (const section of sharedMaps) {
      const map = at(json, [section])
      if (isMap(map)) for (const name of Object.keys(map)) owners.set(keyOf(section, name), { from, path: [section, name] })
    }
    for (const section of sharedLists)
      listOf(at(json, [section])).forEach((_, n) => owners.set(keyOf(section, n), { from, path: [section, n] }))
    return json
  }

  function join(whole: unknown, from: ConfigFile): unknown {
    const result: RawMap = { ...(isMap(whole) ? whole : {}) }
    for (const section of sharedMaps) {
      const added = at(from.document.json, [section])
      const there = result[section] ?? {}
      if (!isMap(added) || !isMap(there)) continue
      result[section] = { ...added, ...there }
      for (const name of Object.keys(added)) claim(section, name, { from, path: [section, name] })
    }
    for (const section of sharedLists) {
      const added = listOf(at(from.document.json, [section]))
      const there = result[section] ?? []
      if (added.length === 0 || !Array.isArray(there)) continue
      result[section] = [...there, ...added]
      added.forEach((_, n) => owners.set(keyOf(section, there.length + n), { from, path: [section, n] }))
    }
    return result
  }

  function claim(section: string, name: string, mine: Written): void {
    const other = owners.get(keyOf(section, name))
    if (other === undefined) return void owners.set(keyOf(section, name), mine)
    const { line } = other.from.document.place({ path: other.path, at: 'key', message: '' })
    const message = `\`${name}\` is in ${other.from.file}:${line} already`
    twice.push(placedIn(mine.from, { path: mine.path, at: 'key', message }))
  }

  function written(path: Path): Written {
    const place = writtenAt(joined, path)
    const [section, step, ...rest] = place
    const owner = section === undefined || step === undefined ? undefined : owners.get(keyOf(section, step))
    return owner === undefined ? { from: main, path: place } : { from: owner.from, path: [...owner.path, ...rest] }
  }
}

/** They may be in what is not there. */
function withSources(json: unknown): unknown {
  return isMap(json) ? { sources: {}, ...json } : json
}

function keyOf(section: string | number, step: string | number): string {
  return `${section} ${step}`
}

function spoiledIn({ file, document }: ConfigFile): ConfigIssue[] {
  return document.faults.map(({ position, path, message }) => ({ file, ...position, path: formatPath(path), message }))
}

function placedIn({ file, document }: ConfigFile, fault: Fault): ConfigIssue {
  return { file, ...document.place(fault), path: formatPath(fault.path), message: fault.message }
}
