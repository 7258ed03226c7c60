/** A JSON value made of an event: one expression, or a map or list in which every text is one. */
import { compileValue, ExpressionError, type Evaluate } from './expression.ts'

/** As the configuration has it; what is neither text nor map nor list stays as it is. */
export type ValueTree = string | Record<string, unknown> | unknown[]

/**
 * @param label of the whole, for messages: `value.jobs[0]: …` says which expression it was
 * @throws ExpressionError when a text does not compile; so does the function it returns, when this event has no such value
 */
export function compileValueTree(tree: unknown, label: string): Evaluate {
  if (typeof tree === 'string') return labelled(compileValue(tree), label)
  if (Array.isArray(tree)) {
    const items = tree.map((item, index) => compileValueTree(item, `${label}[${index}]`))
    return (event, resource) => items.map((evaluate) => evaluate(event, resource))
  }
  if (typeof tree !== 'object' || tree === null) return () => tree
  const entries = Object.entries(tree).map(([key, child]) => [key, compileValueTree(child, `${label}.${key}`)] as const)
  return (event, resource) => Object.fromEntries(entries.map(([key, evaluate]) => [key, evaluate(event, resource)]))
}

function labelled(evaluate: Evaluate, label: string): Evaluate {
  return (event, resource) => {
    try {
      return evaluate(event, resource)
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error
      throw new ExpressionError(error.code, `${label}: ${error.message}`, error.offset, { cause: error })
    }
  }
}
