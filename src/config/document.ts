/** A YAML text as data, with variables expanded and the place of everything in it. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Alias, type Scalar, type YAMLError } from 'yaml'
import { messageOf } from '../errors.ts'
import { expand, type ExpandSources, type Expansion } from './expand.ts'
import type { Fault, Path } from './issues.ts'
import { createPlaces, keyOf, type Position } from './places.ts'
import type { StandIn } from './stand-ins.ts'

export interface PlacedFault extends Fault {
  position: Position
}

export interface DocumentSources extends Omit<ExpandSources, 'standIn'> {
  /** Made-up values; without it, what is not set is a fault. */
  standIn?: StandIn | undefined
}

export interface ConfigDocument {
  /** The data, expanded. */
  json: unknown
  /** What is wrong with the text itself, or with its references. */
  faults: readonly PlacedFault[]
  place(fault: Fault): Position
  /** As `place`, but of what came by an alias: where it was written. */
  origin(fault: Fault): Position
  /** The references that the text at a path was made from; undefined when it stands as it was written. */
  expansion(path: Path): Expansion | undefined
}

/** Aliases are for repeating a few settings: a thousand-fold one is an accident or an attack. */
const maxAliasCount = 100

/** Never throws; a text that is no YAML at all has `json` undefined. */
export function readDocument(text: string, { standIn, ...sources }: DocumentSources): ConfigDocument {
  const lines = new LineCounter()
  // Pretty errors quote the text, and a text may hold a secret.
  const document = parseDocument(text, { merge: true, lineCounter: lines, prettyErrors: false, logLevel: 'error' })
  const places = createPlaces(document, text, lines)
  const expansions = new Map<Scalar, Expansion>()
  const rewritten = new Set<unknown>()
  const faults = withoutEchoes([...document.errors, ...document.warnings].map((problem) => faultOf(problem)))
  const broken = document.errors.some(({ code }) => code !== 'DUPLICATE_KEY')
  const json = broken ? { value: undefined, faults: [] } : expandedJson()
  return {
    json: json.value,
    faults: [...faults, ...json.faults],
    place: (fault) => places.of(inFile(fault)),
    origin: (fault) => places.originOf(inFile(fault)),
    expansion: (path) => {
      const node = places.nodeAt(path)
      return isScalar(node) ? expansions.get(node) : undefined
    },
  }

  /** An offset is one in the text that an expansion gave: the file has another. */
  function inFile(fault: Fault): Fault {
    return rewritten.has(places.nodeAt(fault.path)) ? wholeText(fault) : fault
  }

  function standInAt(value: string, path: Path, make: StandIn): (reference: string) => string {
    const type = document.getIn([...path.slice(0, -1), 'type'])
    return (reference) => make(reference, { path, type, isWhole: value === `\${${reference}}` })
  }

  function faultOf({ code, message, pos: [offset] }: YAMLError): PlacedFault {
    if (text.slice(offset - 1, offset + 1) === '${') return { path: [], message: quoteIt, position: places.atOffset(offset - 1) }
    return { path: [], message: plainMessages[code] ?? yamlMessage(message), position: places.atOffset(offset) }
  }

  function expandedJson(): { value: unknown; faults: PlacedFault[] } {
    const unresolved: PlacedFault[] = []
    const unknown = aliasesIn(document.contents).filter((alias) => alias.resolve(document) === undefined)
    for (const { source, range } of unknown) {
      unresolved.push({
        path: [],
        message: `no anchor \`${source}\` comes before this`,
        position: places.atOffset(range?.[0] ?? 0),
      })
    }
    forEachScalar(document.contents, [], (scalar, path) => {
      const { value } = scalar
      if (isRounded(scalar))
        unresolved.push({
          path,
          message: 'this number is too large to be kept as it is: quoted it is a text',
          position: places.inside(scalar, 0),
        })
      if (typeof value !== 'string') return
      const expansion = expand(value, { ...sources, standIn: standIn && standInAt(value, path, standIn) })
      if (expansion.text === value && expansion.references.length === 0) return
      for (const { offset, message } of expansion.faults)
        unresolved.push({ path, message, position: places.inside(scalar, offset) })
      rewritten.add(scalar)
      if (expansion.references.length > 0) expansions.set(scalar, expansion)
      scalar.value = expansion.text
    })
    if (unknown.length > 0) return { value: undefined, faults: unresolved }
    try {
      return { value: document.toJS({ maxAliasCount }) ?? {}, faults: unresolved }
    } catch (error) {
      return {
        value: undefined,
        faults: [...unresolved, { path: [], message: messageOf(error), position: { line: 1, column: 1 } }],
      }
    }
  }
}

const quoteIt = 'inside `{ }` and `[ ]`, a reference must be quoted: "${…}"'

/** Where the parser's own words are about its interface. */
const plainMessages: Partial<Record<string, string>> = {
  DUPLICATE_KEY: 'this key appears twice',
  MULTIPLE_DOCS: 'a second document begins here: one is expected',
}

/**
 * What follows on the same line is mostly an echo of the first. A reference that is not quoted ends its map too early, and
 * the parser stumbles over all the rest.
 */
function withoutEchoes(faults: readonly PlacedFault[]): PlacedFault[] {
  const unquoted = faults.findIndex(({ message }) => message === quoteIt)
  return firstOfEachLine(faults.filter(({ message }, index) => unquoted === -1 || index <= unquoted || message === quoteIt))
}

function firstOfEachLine(faults: readonly PlacedFault[]): PlacedFault[] {
  return faults.filter(({ position }, index) => faults.findIndex((other) => other.position.line === position.line) === index)
}

function wholeText({ path, at, message }: Fault): Fault {
  return at === undefined ? { path, message } : { path, at, message }
}

/** Some of the parser's messages end in the text they stumbled over. */
function yamlMessage(message: string): string {
  return `not YAML: ${message.replace(/:\s*["'`].*$/s, '')}`
}

/** Values only: neither keys nor comments are expanded. What an alias stands for is visited once, at its anchor. */
function forEachScalar(node: unknown, path: Path, visit: (scalar: Scalar, path: Path) => void): void {
  if (isScalar(node)) visit(node, path)
  if (isSeq(node)) node.items.forEach((item, index) => forEachScalar(item, [...path, index], visit))
  if (isMap(node)) for (const pair of node.items) forEachScalar(pair.value, [...path, keyOf(pair)], visit)
}

/** An integer beyond 2^53, which would silently be another one. */
function isRounded({ value, source = '' }: Scalar): boolean {
  return typeof value === 'number' && /^[-+]?\d+$/.test(source) && !Number.isSafeInteger(value)
}

function aliasesIn(node: unknown): Alias[] {
  if (isAlias(node)) return [node]
  if (isSeq(node)) return node.items.flatMap(aliasesIn)
  return isMap(node) ? node.items.flatMap(({ value }) => aliasesIn(value)) : []
}
