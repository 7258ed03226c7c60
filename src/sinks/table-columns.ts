import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { compileValue, type Evaluate } from '../route/expression.ts'
import { byRule, type ByRule } from './by-rule.ts'

export interface ColumnOfRule {
  column: string
  isKey: boolean
  /** @throws ExpressionError */
  read: Evaluate
}

/** In the order of the configuration: all rules fill the same columns, those that they say anew with expressions of their own. */
export function compileColumns({ columns, key }: SinkConfigOf<'table'>, targets: readonly Target[]): ByRule<ColumnOfRule[]> {
  const usual = Object.entries(columns).map(([column, { value }]) => ({
    column,
    isKey: key.includes(column),
    read: compileValue(value),
  }))
  return byRule(targets, ({ target }) => {
    const own = new Map(Object.entries({ ...target.columns }))
    return usual.map((column) => {
      const source = own.get(column.column)
      return source === undefined ? column : { ...column, read: compileValue(source) }
    })
  })
}
