/** Liquid over `event`, for texts that people read. */
import { Drop, Liquid, LiquidError, Output, Tokenizer, TypeGuards, type Context, type Template } from 'liquidjs'
import { messageOf } from '../errors.ts'
import type { JobResource, RelayEvent } from '../types.ts'
import { eventFields, resourceField } from './fields.ts'
import { suggestion } from './nearest.ts'
import { StepsError } from './steps.ts'
import { boundedOperators, boundFilters, withoutFilters } from './text-filters.ts'
import { boundParts } from './text-parts.ts'
import { BoundedContext, weightOf } from './text-work.ts'

export interface TextOptions {
  /**
   * What is done to everything a template puts out. `slack`: `& < >` become entities, so that an error message cannot write
   * `<!channel>`; `| raw` as the last filter opts out.
   */
  escape: 'slack' | 'none'
}

/** A template that does not compile, or that fails on this event. */
export class TemplateError extends Error {
  /** 1-based place in the source, where there is one. */
  readonly line: number | undefined
  readonly column: number | undefined
  /** What else is wrong with the same text: more names that nobody has. */
  readonly further: readonly TemplateError[]
  constructor(
    message: string,
    position?: Position,
    { further = [], ...options }: { cause?: unknown; further?: readonly TemplateError[] } = {},
  ) {
    super(message, options)
    this.name = 'TemplateError'
    this.line = position?.line
    this.column = position?.column
    this.further = further
  }
}

interface Position {
  line: number
  column: number
}

/** A Slack text holds 40,000 characters, a block far fewer; nobody writes a longer template by hand. */
const maxLength = 50_000

/** Of that in tags and outputs. Reading them is most of what a template takes when it is loaded: 10 µs a character, the first time. */
const maxCodeLength = 5_000

/** Escaping looks at each character three times. */
const stepsPerCharacterOut = 2

const start: Position = { line: 1, column: 1 }

const engines = { slack: createEngine(escapeForSlack), none: createEngine((text) => text) }

/** With the job that the event is about, where it was fetched. */
export type Render<T> = (event: RelayEvent, resource?: JobResource | null) => T

/**
 * Compiles a text. A field that is missing gives nothing, as Liquid users expect.
 *
 * @throws TemplateError when it does not compile; so does the function it returns, when it fails on an event
 */
export function compileText(source: string, options: TextOptions): Render<string> {
  const render = rendering(source, options)
  return (event, resource) => render(event, resource)
}

/**
 * Compiles every string inside a value (blocks of a message, say); its shape, keys and other scalars stay as they are. All
 * of them share the steps of one text.
 */
export function compileTextTree(value: unknown, options: TextOptions): Render<unknown> {
  const render = treeRendering(value, options)
  return (event, resource) => render(event, resource, new BoundedContext(engines[options.escape], {}))
}

type Rendering<T> = (event: RelayEvent, resource: JobResource | null | undefined, steps?: BoundedContext) => T

function rendering(source: string, { escape }: TextOptions): Rendering<string> {
  const engine = engines[escape]
  const template = parse(engine, source)
  return (event, resource, steps) =>
    guarded(() => {
      const scope = { event: resource ? { ...event, resource } : event }
      return String(engine.renderSync(template, new BoundedContext(engine, scope, steps)))
    })
}

function treeRendering(value: unknown, options: TextOptions): Rendering<unknown> {
  if (typeof value === 'string') return rendering(value, options)
  if (Array.isArray(value)) {
    const items = value.map((item) => treeRendering(item, options))
    return (...given) => items.map((render) => render(...given))
  }
  if (typeof value !== 'object' || value === null) return () => value
  const entries = Object.entries(value).map(([key, child]) => [key, treeRendering(child, options)] as const)
  return (...given) => Object.fromEntries(entries.map(([key, render]) => [key, render(...given)]))
}

function parse(engine: Liquid, source: string): Template[] {
  return guarded(() => {
    const template = parseParts(engine, source)
    const [first, ...others] = unknownNames(engine, template)
    if (first === undefined) return template
    const further = others.map(({ message, position }) => new TemplateError(message, position))
    throw new TemplateError(first.message, first.position, { further })
  })
}

/** Each once, where it stands first. */
function unknownNames(engine: Liquid, template: Template[]): { message: string; position: Position | undefined }[] {
  const { event = [], ...others } = engine.analyzeSync(template, { partials: false }).globals
  const variables = Object.entries(others).map(([name, [use]]) => ({ message: unknownVariable(name), position: placeOf(use) }))
  const fields = new Map<string, Position | undefined>()
  for (const use of event) {
    const field = use.segments[1]
    if (typeof field !== 'string' || field === resourceField || eventFields.includes(field) || fields.has(field)) continue
    fields.set(field, placeOf(use))
  }
  return [
    ...variables,
    ...[...fields].map(([field, position]) => ({
      message: `\`event\` has no field \`${field}\`${suggestion(field, eventFields)}`,
      position,
    })),
  ]
}

function placeOf(use: { location: { row: number; col: number } } | undefined): Position | undefined {
  return use && { line: use.location.row, column: use.location.col }
}

function parseParts(engine: Liquid, source: string): Template[] {
  if (source.length > maxLength)
    throw new TemplateError(`a text has ${counted(maxLength)} characters at most, this one ${counted(source.length)}`, start)
  checkCode(engine, source)
  const template = engine.parse(source)
  boundParts(template, source)
  return template
}

function checkCode(engine: Liquid, source: string): void {
  let length = 0
  for (const token of new Tokenizer(source).readTopLevelTokens(engine.options)) {
    if (!TypeGuards.isHTMLToken(token)) length += token.size()
    if (length <= maxCodeLength) continue
    const [line = 1, column = 1] = token.getPosition()
    throw new TemplateError(`a text has ${counted(maxCodeLength)} characters of tags and outputs at most`, { line, column })
  }
}

/** A field of the event that a text shows or asks for. */
export interface TextMention extends Position {
  /** After `event`, up to the first that is not written out. */
  path: readonly string[]
  /** Shown as it is, on every event: not under a tag, and without a filter that stands in for it where it is missing. */
  bare: boolean
}

/** @param source a text that compiles */
export function mentionsInText(source: string): TextMention[] {
  const engine = engines.none
  return guarded(() =>
    parseParts(engine, source).flatMap((part) => {
      const bare = part instanceof Output && !part.value.filters.some(({ name }) => name === 'default')
      const { event = [] } = engine.analyzeSync([part], { partials: false }).globals
      return event.map(({ segments, location }) => {
        const end = segments.findIndex((segment) => typeof segment !== 'string')
        const path = segments.slice(1, end === -1 ? undefined : end).filter((segment) => typeof segment === 'string')
        return { path, bare, line: location.row, column: location.col }
      })
    }),
  )
}

function unknownVariable(name: string): string {
  const hint = eventFields.includes(name) ? `, did you mean \`event.${name}\`?` : suggestion(name, ['event'])
  return `unknown variable \`${name}\`${hint === '' ? ': the only one is `event`' : hint}`
}

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TemplateError) throw error
    throw new TemplateError(plainMessage(error), positionOf(error), { cause: error })
  }
}

/** The library appends its own notion of the place to the message; ours is in `line` and `column`. */
function plainMessage(error: unknown): string {
  const message = messageOf(error).replace(/(, file:[^,]*)?, line:\d+, col:\d+$/, '')
  if (message === 'memory alloc limit exceeded') return new StepsError('the text').message
  const filter = /^undefined filter: (\w+)$/.exec(message)?.[1]
  if (filter === undefined) return message
  const removed = withoutFilters.get(filter)
  return removed === undefined
    ? `${message}${suggestion(filter, Object.keys(engines.none.filters))}`
    : `\`${filter}\` is not in this version: ${removed}`
}

function counted(n: number): string {
  return n.toLocaleString('en-US')
}

function positionOf(error: unknown): Position | undefined {
  if (!LiquidError.is(error)) return undefined
  const [line, column] = error.token.getPosition()
  return line === undefined || column === undefined ? undefined : { line, column }
}

function createEngine(escape: (text: string) => string): Liquid {
  function escapeOutput(this: { context: Context }, value: unknown): string {
    this.context.memoryLimit.use(weightOf(value) * stepsPerCharacterOut)
    return escape(textOf(value))
  }
  const engine: Liquid = new Liquid({
    strictFilters: true,
    strictVariables: false,
    ownPropertyOnly: true,
    // The same text on every machine.
    timezoneOffset: 0,
    locale: 'en-US',
    operators: boundedOperators,
    // Nothing is ever read from disk: the tags that would are gone, and there is no template to find.
    templates: {},
    outputEscape: escapeOutput,
  })
  boundFilters(engine)
  for (const tag of ['render', 'include', 'layout', 'block']) delete engine.tags[tag]
  // A table of HTML is of no use in a message.
  delete engine.tags['tablerow']
  return engine
}

/** Liquid's own reading, except that an object is its JSON rather than `[object Object]`. */
function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(textOf).join('')
  if (value instanceof Drop) return '' // `nil`, `empty`, `forloop`: names of the language, not values
  if (typeof value === 'object') return JSON.stringify(value)
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint' ? String(value) : ''
}

function escapeForSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
