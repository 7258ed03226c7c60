/** First delays that are longer than what is said to be the longest: they would be cut to it without a word. */
import type { Fault } from './issues.ts'
import { at, mapsIn } from './raw.ts'
import { breakerSchema, retrySchema } from './sink-schema.ts'
import { durationMs, writtenDuration } from './values.ts'

const pairs = [
  { section: 'retry', first: 'initial', usualMax: retrySchema.parse({}).max },
  { section: 'breaker', first: 'cooldown', usualMax: breakerSchema.parse({}).max },
]

/** Looks at what is said: a `max` below the default of the first delay makes every delay that long, as it was meant. */
export function delayFaults(json: unknown): Fault[] {
  return mapsIn(at(json, ['sinks'])).flatMap(([name, sink]) =>
    pairs.flatMap(({ section, first, usualMax }): Fault[] => {
      const longest = at(sink, [section, 'max'])
      const firstMs = msOf(at(sink, [section, first]))
      const maxMs = longest === undefined ? usualMax : msOf(longest)
      if (firstMs === undefined || maxMs === undefined || firstMs <= maxMs) return []
      const message = `\`${first}\`: longer than \`max\` (${writtenDuration(usualMax)} by default)`
      return [{ path: ['sinks', name, section, first], message }]
    }),
  )
}

/** Undefined of what is no duration: the schema has said so. */
function msOf(value: unknown): number | undefined {
  return durationMs.safeParse(value).data
}
