/** Where in a YAML text something stands, and which node that is. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Scalar,
  type Alias,
  type Document,
  type LineCounter,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml'
import type { Fault, Path } from './issues.ts'

/** 1-based. */
export interface Position {
  line: number
  column: number
}

/** A value, with the key that it stands under. */
interface Spot {
  key?: unknown
  /** Of an alias, what it stands for. */
  value: unknown
  /** The first alias on the way to the key, and to the value: what follows was written elsewhere. */
  keyVia: Alias | undefined
  via: Alias | undefined
}

export interface Places {
  of(fault: Fault): Position
  originOf(fault: Fault): Position
  nodeAt(path: Path): unknown
  inside(scalar: Scalar, offset: number): Position
  atOffset(offset: number): Position
}

export function createPlaces(document: Document, text: string, lines: LineCounter): Places {
  return {
    of(fault) {
      const { via, origin } = found(fault)
      return via?.range ? atOffset(via.range[0]) : origin
    },
    originOf: (fault) => found(fault).origin,
    nodeAt: (path) => spotAt(path)?.value,
    inside,
    atOffset,
  }

  function found({ path, at, offset }: Fault): { origin: Position; via: Alias | undefined } {
    const spot = spotAt(path)
    const isAtKey = at === 'key' && isNode(spot?.key)
    const node = isAtKey ? spot?.key : spot?.value
    const via = isAtKey ? spot?.keyVia : spot?.via
    if (isScalar(node) && offset !== undefined && node.range) return { origin: inside(node, offset), via }
    if (isNode(node) && node.range) return { origin: atOffset(node.range[0]), via }
    if (path.length === 0) return { origin: { line: 1, column: 1 }, via }
    return found({ path: path.slice(0, -1), at: 'key', message: '' })
  }

  function spotAt(path: Path): Spot | undefined {
    const whole = spotOf(undefined, document.contents, undefined)
    return path.reduce<Spot | undefined>((spot, step) => spot && spotIn(spot, step), whole)
  }

  function spotIn({ value, via }: Spot, step: string | number): Spot | undefined {
    if (isSeq(value) && typeof step === 'number') return spotOf(undefined, value.items[step], via)
    return isMap(value) ? memberOf(value, String(step), via) : undefined
  }

  /** Under a key of the map's own, or under one that `<<` brought. */
  function memberOf(map: YAMLMap, key: string, via: Alias | undefined): Spot | undefined {
    const own = map.items.find((pair) => keyOf(pair) === key)
    if (own !== undefined) return spotOf(own.key, own.value, via)
    const merged = map.items.filter((pair) => keyOf(pair) === '<<').flatMap(({ value }) => mapsUnder(spotOf('<<', value, via)))
    return merged.map((source) => spotIn(source, key)).find((spot) => spot !== undefined)
  }

  function mapsUnder(spot: Spot): Spot[] {
    const { value, via } = spot
    return isSeq(value) ? value.items.flatMap((item) => mapsUnder(spotOf('<<', item, via))) : [spot]
  }

  function spotOf(key: unknown, value: unknown, keyVia: Alias | undefined): Spot {
    if (!isAlias(value)) return { key, value, keyVia, via: keyVia }
    return { key, value: value.resolve(document), keyVia, via: keyVia ?? value }
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

/** The parser makes a symbol of `<<`. */
export function keyOf({ key }: Pair): string {
  const value: unknown = isScalar(key) ? key.value : key
  return typeof value === 'symbol' ? (value.description ?? '') : String(value)
}
