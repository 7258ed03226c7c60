import type { SinkConfigOf } from '../config/schema.ts'
import { compileValue, type Evaluate } from '../route/expression.ts'

export interface TableColumn {
  column: string
  isKey: boolean
  /** @throws ExpressionError */
  read: Evaluate
}

/** In the order of the configuration. */
export function compileColumns({ columns, key }: SinkConfigOf<'table'>): TableColumn[] {
  return Object.entries(columns).map(([column, { value }]) => ({
    column,
    isKey: key.includes(column),
    read: compileValue(value),
  }))
}
