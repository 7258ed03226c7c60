import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { compileValue, type Evaluate } from '../route/expression.ts'

export interface ColumnOfRule {
  column: string
  isKey: boolean
  /** @throws ExpressionError */
  read: Evaluate
}

/**
 * By rule, in the order of the configuration: all rules fill the same columns, those that they say anew with expressions of their own.
 *
 * @throws ExpressionError when one does not compile
 */
export function compileColumns({ columns, key }: SinkConfigOf<'table'>, targets: readonly Target[]): Map<string, ColumnOfRule[]> {
  const usual = Object.entries(columns).map(([column, { value }]) => ({
    column,
    isKey: key.includes(column),
    read: compileValue(value),
  }))
  return new Map(
    targets.map(({ rule, target }) => {
      const own = new Map(Object.entries({ ...target.columns }))
      const compiled = usual.map((column) => {
        const source = own.get(column.column)
        return source === undefined ? column : { ...column, read: compileValue(source) }
      })
      return [rule, compiled]
    }),
  )
}
