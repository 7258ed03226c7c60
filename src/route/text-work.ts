/** Counts what rendering a text takes: see steps.ts. */
import { Context, type Liquid, type Scope } from 'liquidjs'
import { isMap } from '../json-map.ts'
import { maxSteps } from './steps.ts'

/** Of a tag, an output or a stretch of words, before what it does itself. */
const stepsPerPart = 20

/** Longer than any number. */
const longestNumber = 64

/** The library counts characters and members of lists, and says when it comes by: all of it becomes steps. */
export class BoundedContext extends Context {
  readonly #engine: Liquid

  /** @param shared whose steps this one uses up too */
  constructor(engine: Liquid, scope: object, shared?: BoundedContext) {
    super(
      scope,
      engine.options,
      { sync: true, memoryLimit: maxSteps },
      { liquid: engine, ...(shared && { memoryLimit: shared.memoryLimit }) },
    )
    this.#engine = engine
    this.renderLimit.check = () => this.memoryLimit.use(stepsPerPart)
  }

  override spawn(scope: object = {}): Context {
    return new BoundedContext(this.#engine, scope, this)
  }

  override readProperty(from: Scope, key: Parameters<Context['readProperty']>[1]): unknown {
    // Written out first, to look for a field of that name.
    if (Array.isArray(key)) return undefined
    // All names of an object are listed to count them.
    if (key === 'size' && isMap(from)) this.memoryLimit.use(4 * weightOf(from))
    return super.readProperty(from, key)
  }
}

const weights = new WeakMap<readonly unknown[], number>()

/**
 * How long a value is when it is written out: characters, and three for everything else. Lists that filters made can hold
 * one list many times over, which is why no list is weighed twice.
 */
export function weightOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 3
  if (Array.isArray(value)) return weightOfList(value)
  return Object.entries(value).reduce((sum, [key, member]) => sum + key.length + weightOf(member), 3)
}

function weightOfList(list: readonly unknown[]): number {
  const known = weights.get(list)
  if (known !== undefined) return known
  const weight = list.reduce<number>((sum, member) => sum + weightOf(member), 3)
  weights.set(list, weight)
  return weight
}

/** @throws TypeError for what takes long to read as a number or a name */
export function short(value: unknown): unknown {
  if (typeof value === 'string' ? value.length <= longestNumber : typeof value !== 'object' || value === null) return value
  throw new TypeError('expected a number or a short text, not a list, an object or a long text')
}
