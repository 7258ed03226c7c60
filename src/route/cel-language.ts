/** CEL as rules speak it: `event` with its fields, numbers that mix, and limits on what one expression may hold. */
import { Environment } from '@marcbachmann/cel-js'

export interface Language {
  /** Of `event`, with their types. */
  fields: Record<string, string>
  environment: Environment
}

export function languageOf(fields: Record<string, string>): Language {
  return { fields, environment: createEnvironment(fields) }
}

function createEnvironment(fields: Record<string, string>): Environment {
  const created = new Environment({
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
    // A hand-written rule has tens of nodes; a hundred list members is a long list of types.
    limits: { maxAstNodes: 2_000, maxDepth: 50, maxListElements: 500, maxMapEntries: 100, maxCallArguments: 16 },
  }).registerVariable({ name: 'event', schema: { ...fields } })
  const arithmetic: [string, (a: number, b: number) => number][] = [
    ['+', (a, b) => a + b],
    ['-', (a, b) => a - b],
    ['*', (a, b) => a * b],
    ['/', (a, b) => a / b],
    ['%', (a, b) => a % b],
  ]
  for (const [operator, calculate] of arithmetic) {
    const mixed = (a: unknown, b: unknown) => calculate(Number(a), Number(b))
    created.registerOperator(`double ${operator} int: double`, mixed)
    created.registerOperator(`int ${operator} double: double`, mixed)
    if (operator === '%') created.registerOperator('double % double: double', mixed)
  }
  return created
}
