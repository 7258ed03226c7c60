/** Who may call: anybody with a key, or the one who has the right one. The messages are those that Google's APIs are known for. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Middleware } from 'koa'
import { ApiError } from '../api-error.ts'
import { queryOf } from './query.ts'

/** @param expected undefined: any key will do */
export function checkApiKey(expected: string | undefined): Middleware {
  return (ctx, next) => {
    const key = ctx.get('x-goog-api-key') || (queryOf(ctx, 'key') ?? '')
    if (key === '') throw new ApiError('PERMISSION_DENIED', 'Method doesn’t allow unregistered callers. Please use API Key.')
    if (expected !== undefined && !timingSafeEqual(digest(key), digest(expected))) {
      throw new ApiError('INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', { reason: 'API_KEY_INVALID' })
    }
    return next()
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
