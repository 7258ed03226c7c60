/** A YAML text as data, with variables expanded and the place of everything in it. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Scalar,
  type Alias,
  type Document,
  type Node,
  type Pair,
  type YAMLError,
  type YAMLMap,
} from 'yaml'
import { messageOf } from '../errors.ts'
import { expand, type ExpandSources, type Expansion } from './expand.ts'
import type { Fault, Path } from './issues.ts'
import type { StandIn } from './stand-ins.ts'

/** 1-based. */
export interface Position {
  line: number
  column: number
}

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
    place: (fault) => places.of(rewritten.has(places.nodeAt(fault.path)) ? wholeText(fault) : fault),
    expansion: (path) => {
      const node = places.nodeAt(path)
      return isScalar(node) ? expansions.get(node) : undefined
    },
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

/** An offset is one in the text that an expansion gave: the file has another. */
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

function keyOf(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key)
}

interface Places {
  of(fault: Fault): Position
  nodeAt(path: Path): unknown
  inside(scalar: Scalar, offset: number): Position
  atOffset(offset: number): Position
}

function createPlaces(document: Document, text: string, lines: LineCounter): Places {
  return { of, nodeAt, inside, atOffset }

  function of({ path, at, offset }: Fault): Position {
    const step = path.at(-1)
    const parent = nodeAt(path.slice(0, -1))
    const pair = at === 'key' && isMap(parent) && typeof step === 'string' ? pairIn(parent, step) : undefined
    const node = pair === undefined ? nodeAt(path) : pair.key
    if (isScalar(node) && offset !== undefined && node.range) return inside(node, offset)
    if (isNode(node) && node.range) return atOffset(node.range[0])
    return path.length === 0 ? { line: 1, column: 1 } : of({ path: path.slice(0, -1), at: 'key', message: '' })
  }

  function nodeAt(path: Path): unknown {
    return path.reduce<unknown>((node, step) => {
      const inner = resolved(node)
      if (isSeq(inner) && typeof step === 'number') return inner.items[step]
      return isMap(inner) ? pairIn(inner, String(step))?.value : undefined
    }, document.contents)
  }

  function resolved(node: unknown): unknown {
    return isAlias(node) ? node.resolve(document) : node
  }

  /** A key of the map's own, or one that `<<` brought. */
  function pairIn(map: YAMLMap, key: string): Pair | undefined {
    const own = map.items.find((pair) => keyOf(pair) === key)
    if (own !== undefined) return own
    const merged = map.items.filter((pair) => keyOf(pair) === '<<').flatMap(({ value }) => mapsUnder(value))
    return merged.map((source) => pairIn(source, key)).find((pair) => pair !== undefined)
  }

  function mapsUnder(value: unknown): YAMLMap[] {
    const source = resolved(value)
    if (isSeq(source)) return source.items.flatMap(mapsUnder)
    return isMap(source) ? [source] : []
  }

  function atOffset(offset: number): Position {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  /** Exact as long as the text stands in the file as it is: up to the first escape or fold, else the start of the scalar. */
  function inside(scalar: Scalar, offset: number): Position {
    const [start, end] = scalar.range ?? [0, 0]
    const raw = text.slice(start, end)
    if (scalar.type === Scalar.BLOCK_LITERAL) return atOffset(start + blockOffset(raw, offset))
    if (scalar.type === Scalar.BLOCK_FOLDED) return atOffset(start)
    const quote = scalar.type === Scalar.PLAIN ? 0 : 1
    const special = scalar.type === Scalar.QUOTE_DOUBLE ? /[\\\n]/ : scalar.type === Scalar.QUOTE_SINGLE ? /''|\n/ : /\n/
    const literal = raw.slice(quote).search(special)
    return atOffset(literal === -1 || offset <= literal ? start + quote + offset : start)
  }
}

/** Where a character of a literal block (`|`) stands in its source, which begins at the header and indents every line. */
function blockOffset(raw: string, offset: number): number {
  const [header = '', ...body] = raw.split('\n')
  const indent = Math.min(...body.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length))
  let source = header.length + 1
  let value = 0
  for (const line of body) {
    const length = Math.max(line.length - indent, 0)
    if (offset <= value + length) return source + indent + (offset - value)
    source += line.length + 1
    value += length + 1
  }
  return 0
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value)
}
