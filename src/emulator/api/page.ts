/** Pages of a list, as Google's APIs cut them. */
import { ApiError } from '../api-error.ts'

export interface PageQuery {
  size: string | undefined
  token: string | undefined
}

export interface Page<T> {
  items: T[]
  nextToken: string | undefined
}

/** Documented for webhooks: 50 where nothing is asked for, 1000 at most; a larger number is taken as the most. */
const usualSize = 50
const maxSize = 1_000

/**
 * A token names the last item of its page, so that what is deleted meanwhile moves nothing.
 *
 * @param order of an item: grows along the list
 */
export function cutPage<T>(items: readonly T[], order: (item: T) => number, { size, token }: PageQuery): Page<T> {
  const after = token === undefined || token === '' ? Number.NEGATIVE_INFINITY : readToken(token)
  const rest = items.filter((item) => order(item) > after)
  const page = rest.slice(0, readSize(size))
  const last = page.at(-1)
  return { items: page, nextToken: last !== undefined && rest.length > page.length ? makeToken(order(last)) : undefined }
}

function readSize(text: string | undefined): number {
  if (text === undefined || text === '') return usualSize
  if (!/^\d{1,9}$/.test(text)) throw new ApiError('INVALID_ARGUMENT', 'page_size must be a whole number, and not negative.')
  return Math.min(Number(text) || usualSize, maxSize)
}

function makeToken(order: number): string {
  return Buffer.from(`after ${order}`).toString('base64url')
}

function readToken(token: string): number {
  const order = /^after (\d{1,15})$/.exec(Buffer.from(token, 'base64url').toString())?.[1]
  if (order === undefined) throw new ApiError('INVALID_ARGUMENT', 'page_token is not one that this list gave.')
  return Number(order)
}
