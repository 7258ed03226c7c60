/** Makes each part of a parsed text count what it takes whenever it is rendered. */
import {
  CycleTag,
  evalToken,
  ForTag,
  TypeGuards,
  Value,
  type Arguments,
  type Context,
  type Emitter,
  type Template,
  type Token,
} from 'liquidjs'
import { short, weightOf } from './text-work.ts'

/** In steps, see text-work.ts: of what is evaluated, whatever comes out of it. */
const stepsPerPart = 85
const stepsPerToken = 25
/** Of a range, beside the one that the library counts. */
const stepsPerNumber = 2

/** @param templates what `source` was parsed to; they are changed in place */
export function boundParts(templates: readonly Template[], source: string): void {
  const placeAt = placesIn(source)
  for (const part of partsOf(templates)) {
    const tokens = [...tokensOf(part)]
    // The library counts lines and columns from the start each time that it is asked: a second for 7,000 variables.
    for (const token of tokens) if (hasPlace(token)) token.getPosition = () => placeAt(token.begin)
    boundPart(part, tokens)
  }
}

function boundPart(part: Template, tokens: readonly Token[]): void {
  const render = part.render.bind(part)
  const words = TypeGuards.isHTMLToken(part.token) ? part.token.size() : stepsPerPart
  const steps = words + tokens.length * stepsPerToken
  const ranges = tokens.filter((token) => TypeGuards.isRangeToken(token))
  const settings = settingsOf(part)
  const list = listOf(part)
  if (ranges.length + settings.length === 0 && list === undefined) {
    part.render = (context, emitter) => {
      context.memoryLimit.use(steps)
      return render(context, emitter)
    }
    return
  }
  part.render = function* (context: Context, emitter: Emitter): Generator<unknown, unknown, unknown> {
    context.memoryLimit.use(steps)
    for (const { lhs, rhs } of ranges) {
      const [low, high] = [short(yield evalToken(lhs, context)), short(yield evalToken(rhs, context))]
      context.memoryLimit.use((Number(high) - Number(low)) * stepsPerNumber)
    }
    for (const token of settings) short(yield evalToken(token, context))
    if (list !== undefined) context.memoryLimit.use(stepsToList(yield evalToken(list, context)))
    return yield render(context, emitter)
  }
}

/** What an analysis asks for its place: variables, and the names that tags give. */
function hasPlace(token: Token): boolean {
  return TypeGuards.isPropertyAccessToken(token) || TypeGuards.isWordToken(token)
}

/** A loop copies its list before it begins. */
function stepsToList(list: unknown): number {
  if (Array.isArray(list)) return list.length / 2
  return typeof list === 'object' && list !== null ? 5 * weightOf(list) : 0
}

/** What a loop is over; a range counts for itself. */
function listOf(part: Template): Token | undefined {
  const [list] = part instanceof ForTag ? part.arguments() : []
  return list === undefined || list instanceof Value || TypeGuards.isRangeToken(list) ? undefined : list
}

/** Limits and offsets of a loop, the group of a cycle: a list that stood there would be written out each time. */
function settingsOf(part: Template): Token[] {
  const given = part instanceof ForTag ? [...part.arguments()].slice(1) : part instanceof CycleTag ? [...part.arguments()] : []
  return given.flatMap((one) => (TypeGuards.isPropertyAccessToken(one) ? [one] : []))
}

function* partsOf(templates: readonly Template[]): Generator<Template> {
  for (const part of templates) {
    yield part
    const children = part.children?.(false, true).next()
    if (children?.done === true) yield* partsOf(children.value)
  }
}

/** Everything that is evaluated when a part is rendered, and what names it. */
function* tokensOf(part: Template): Generator<Token> {
  const args: Arguments = part.arguments?.() ?? []
  for (const one of args) {
    if (one instanceof Value) yield* evaluatedIn(one)
    else yield* valueTokens(one)
  }
  yield* part.localScope?.() ?? []
}

function* evaluatedIn({
  initial,
  filters,
}: Pick<Value, 'initial'> & { filters: readonly Pick<Value['filters'][number], 'args'>[] }): Generator<Token> {
  for (const token of initial.postfix) yield* valueTokens(token)
  for (const { args } of filters) {
    for (const argument of args) {
      const token = Array.isArray(argument) ? argument[1] : argument
      if (token !== undefined) yield* valueTokens(token)
    }
  }
}

function* valueTokens(token: Token): Generator<Token> {
  yield token
  if (TypeGuards.isFilteredValueToken(token)) yield* evaluatedIn(token)
  else if (TypeGuards.isRangeToken(token)) {
    yield* valueTokens(token.lhs)
    yield* valueTokens(token.rhs)
  } else if (TypeGuards.isPropertyAccessToken(token)) {
    if (token.variable !== undefined) yield* valueTokens(token.variable)
    for (const prop of token.props) yield* valueTokens(prop)
  }
}

/** @returns line and column, 1-based, of an offset */
function placesIn(source: string): (offset: number) => [line: number, column: number] {
  const starts = [0]
  for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let [low, high] = [0, starts.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return [low + 1, offset - (starts[low] ?? 0) + 1]
  }
}
