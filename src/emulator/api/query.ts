/** What stands in the path and the query of a call. */
import type { Context } from 'koa'
import { snake } from './body.ts'

/** By its name in `snake_case`; it may be spelled either way. The last one counts. */
export function queryOf(ctx: Context, name: string): string | undefined {
  const found = Object.entries(ctx.query).findLast(([key]) => snake(key) === name)?.[1]
  return Array.isArray(found) ? found.at(-1) : found
}

/** A parameter of the path; empty where the path has none. */
export function paramOf(ctx: Context, name: string): string {
  const params: unknown = ctx.params
  const found = typeof params === 'object' && params !== null ? Object.entries(params).find(([key]) => key === name)?.[1] : ''
  return typeof found === 'string' ? found : ''
}
