/** Where what is seen is not what is wanted. Pure. */
import { isMap } from '../json-map.ts'

export interface Difference {
  /** `row.status`, `blocks[0].text`. */
  field: string
  wanted: unknown
  /** Absent where there is nothing. */
  seen?: unknown
}

/** Maps are compared by the keys that are wanted, lists member by member, all else exactly. */
export function differences(wanted: unknown, seen: unknown, field = ''): Difference[] {
  if (isMap(wanted) && isMap(seen)) {
    return Object.entries(wanted).flatMap(([key, value]) => {
      const inner = field === '' ? key : `${field}.${key}`
      return Object.hasOwn(seen, key) ? differences(value, seen[key], inner) : [{ field: inner, wanted: value }]
    })
  }
  if (Array.isArray(wanted) && Array.isArray(seen) && wanted.length === seen.length)
    return wanted.flatMap((value, index) => differences(value, seen[index], `${field}[${index}]`))
  return Object.is(wanted, seen) ? [] : [{ field, wanted, seen }]
}
