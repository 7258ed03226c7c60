/** `when`: what an event must look like, as data. Fields are AND, lists are OR, maps go deeper, `$or` holds whole alternatives. */
import type { Pattern } from '../config/schema.ts'
import type { RelayEvent } from '../types.ts'
import type { Alternative } from './operators.ts'
import { readPattern, type Fields, type Node } from './pattern-tree.ts'
import { maxSteps, Steps } from './steps.ts'

/**
 * Compiles a pattern. A value matches what is equal to it and of its type; a list of the event matches when any member
 * does; a field that is missing matches `exists: false` and nothing else, not even null. In `type`, `*` stands for any
 * characters, dots too.
 *
 * @throws PatternError with everything in it that is unknown or could never match; the function it returns throws
 *   StepsError for an event whose lists and texts would take it too long
 */
export function compilePattern(pattern: Pattern): (event: RelayEvent) => boolean {
  const steps = new Steps('the pattern', maxSteps)
  const matches = fieldsTest(readPattern(pattern), steps)
  return (event) => {
    steps.restart()
    return isObject(event) && matches(event)
  }
}

/** Stands for a field that is not there: no JSON holds it. */
export const missing = Symbol('missing')
export const nothing: Json = Object.freeze({})

export type Json = Readonly<Record<string, unknown>>
type Test = (value: unknown) => boolean

/** In steps of steps.ts: to look for a field in a map. */
const stepsPerField = 3

export function fieldsTest({ fields, either }: Fields, steps: Steps): (map: Json) => boolean {
  const tests = fields.map(({ name, node }) => ({ name, test: nodeTest(node, steps) }))
  const all = (map: Json) => {
    steps.use(stepsPerField * (1 + tests.length))
    return tests.every(({ name, test }) => test(Object.hasOwn(map, name) ? map[name] : missing))
  }
  if (either === undefined) return all
  const alternatives = either.map((one) => fieldsTest(one, steps))
  return (map) => all(map) && alternatives.some((matches) => matches(map))
}

export function nodeTest(node: Node, steps: Steps): Test {
  if ('alternatives' in node) return leafTest(node.alternatives, steps)
  const matches = fieldsTest(node, steps)
  return (value) => {
    if (!isObject(value)) return matches(nothing)
    if (!Array.isArray(value)) return matches(value)
    // One level of list and no more: how deep this recurses is up to the pattern, never to the sender.
    const maps = value.filter((member) => isObject(member) && !Array.isArray(member))
    return maps.length > 0 ? maps.some(matches) : matches(nothing)
  }
}

function leafTest(alternatives: readonly Alternative[], steps: Steps): Test {
  const exact = new Set<unknown>(alternatives.flatMap((one) => (one.kind === 'exact' ? [one.value] : [])))
  const tests = alternatives.filter((one) => one.kind === 'test')
  const wanted = (exists: boolean) => alternatives.some((one) => one.kind === 'exists' && one.exists === exists)
  const [present, absent] = [wanted(true), wanted(false)]
  const perValue = tests.reduce((sum, test) => sum + test.steps, 1)
  const perCharacter = tests.reduce((sum, test) => sum + test.stepsPerCharacter, 0)
  const matchesOne: Test = (value) => {
    if (isObject(value) || value === missing) return false
    if (exact.has(value)) return true
    steps.use(perValue + (typeof value === 'string' ? value.length * perCharacter : 0))
    return tests.some(({ matches }) => matches(value))
  }
  return (value) => {
    // Most fields hold a text and most patterns ask for one: that is decided by the set.
    if (exact.has(value)) return true
    if (value === missing) return absent
    return present || (Array.isArray(value) ? value.some(matchesOne) : matchesOne(value))
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null
}
