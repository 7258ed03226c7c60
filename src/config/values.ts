/** The small value languages of the configuration: durations, sizes, names, numbers that came from variables. */
import { z } from 'zod'

const durationUnitsMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const sizeUnits: Record<string, number> = { b: 1, kb: 1_024, mb: 1_048_576 }

export const durationPattern = /^\d+(ms|s|m|h|d)$/
export const sizePattern = /^[1-9]\d*(b|kb|mb)$/
export const ratePattern = /^[1-9]\d*\/(s|m|h)$/

/** In the largest unit that it is a whole number of. */
export function writtenDuration(ms: number): string {
  return inLargest(ms, durationUnitsMs)
}

export function writtenSize(bytes: number): string {
  return inLargest(bytes, sizeUnits)
}

export function writtenRate({ count, perMs }: { count: number; perMs: number }): string {
  return `${count}/${writtenDuration(perMs).replace(/^1/, '')}`
}

/** @param units ascending, the first of them 1 */
function inLargest(value: number, units: Record<string, number>): string {
  const [unit, size] = Object.entries(units).findLast(([, one]) => value % one === 0 && value >= one) ?? ['', 1]
  return `${value / size}${unit}`
}

/** Ten years: added to a timestamp it stays one that Postgres can hold. */
const longestMs = 3_650 * 86_400_000

const durationError = 'expected a duration such as 250ms, 30s, 5m, 24h or 3d'
const sizeError = 'expected a size such as 256kb or 1mb'
const rateError = 'expected a rate such as 10/s, 300/m or 1000/h'

/** `250ms`, `30s`, `5m`, `24h`, `3d` → milliseconds. */
export const durationMs = z
  .string(durationError)
  .regex(durationPattern, durationError)
  .transform((text) => Number.parseInt(text, 10) * (durationUnitsMs[text.replace(/^\d+/, '')] ?? Number.NaN))
  .refine((ms) => ms <= longestMs, { error: 'at most 3650d' })

/** What takes no time at all cannot succeed, or never rests. */
export const timeMs = durationMs.refine((ms) => ms > 0, { error: 'more than 0' })

/** `256kb`, `1mb` → bytes; `kb` is 1,024. */
export const byteSize = z
  .string(sizeError)
  .regex(sizePattern, sizeError)
  .transform((text) => Number.parseInt(text, 10) * (sizeUnits[text.replace(/^\d+/, '')] ?? Number.NaN))

/** A number, or its digits: `${PORT}` always expands to text. */
export function integer(min: number, max: number) {
  const message = `expected a whole number from ${min} to ${max}`
  return z
    .union([z.number(), z.string().regex(/^\d+$/, message).transform(Number)], { error: message })
    .refine((value) => Number.isInteger(value) && value >= min && value <= max, { error: message })
}

/** Likewise, with a fraction. */
export function decimal(min: number, max: number) {
  const message = `expected a number from ${min} to ${max}`
  return z
    .union(
      [
        z.number(),
        z
          .string()
          .regex(/^\d+(\.\d+)?$/, message)
          .transform(Number),
      ],
      { error: message },
    )
    .refine((value) => value >= min && value <= max, { error: message })
}

/** A boolean, or its name: `${FLAG}` always expands to text. */
export const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')], {
  error: 'expected true or false',
})

export const nameRule = 'expected a name of letters, digits, dot, dash and underscore, at most 63 long'

/** Names of sources, sinks and rules: they appear in URLs, tables, metrics and logs. */
export const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, nameRule)

/** A column name; it is always quoted, so any case is kept. */
export const sqlName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_$]{0,62}$/, 'expected a column name')

export const nonEmpty = z.string().min(1)

/** `10/s`, `1 per second` for humans is one spelling here: a count, a slash, a unit. */
export const rate = z
  .string(rateError)
  .regex(ratePattern, rateError)
  .transform((text) => {
    const [count, unit] = text.split('/')
    return { count: Number(count), perMs: unit === 's' ? 1_000 : unit === 'm' ? 60_000 : 3_600_000 }
  })

/** Seconds a lease lasts bound an attempt: one must end well before the other. See deliver/leases.ts. */
export const maxTimeoutMs = 20_000
