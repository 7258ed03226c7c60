/** A JSON value made of an event: one expression, or a map or list in which every text is one. */
import type { ASTNode } from '@marcbachmann/cel-js'
import { boundTogether, compileUnbounded, ExpressionError, type Evaluate } from './expression.ts'

/** As the configuration has it; what is neither text nor map nor list stays as it is. */
export type ValueTree = string | Record<string, unknown> | unknown[]

/**
 * @param label of the whole, for messages: `value.jobs[0]: …` says which expression it was
 * @throws ExpressionError when a text does not compile, or all together take too long; so does the function it returns, when this
 *   event has no such value
 */
export function compileValueTree(tree: unknown, label: string): Evaluate {
  const asts: ASTNode[] = []
  return boundTogether(compileUnder(tree, label, asts), asts)
}

/** @param asts filled with those of all texts */
function compileUnder(tree: unknown, label: string, asts: ASTNode[]): Evaluate {
  if (typeof tree === 'string') {
    const { evaluate, ast } = compileUnbounded(tree)
    asts.push(ast)
    return labelled(evaluate, label)
  }
  if (Array.isArray(tree)) {
    const items = tree.map((item, index) => compileUnder(item, `${label}[${index}]`, asts))
    return (event, resource) => items.map((evaluate) => evaluate(event, resource))
  }
  if (typeof tree !== 'object' || tree === null) return () => tree
  const entries = Object.entries(tree).map(([key, child]) => [key, compileUnder(child, `${label}.${key}`, asts)] as const)
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
