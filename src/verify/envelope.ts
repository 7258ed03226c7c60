/** The event that a token's claims can hold, and whether a body tells of the same one. */
import { isMap } from '../json-map.ts'

export type Claims = Readonly<Record<string, unknown>>

/** What of the claims is the event, and is stored where there is no body. The rest (`aud`, `exp`, …) is the token's. */
const members = ['type', 'version', 'timestamp', 'data', 'user_metadata']

/** The envelope's members of the claims, or undefined when they hold no `type` (a string) with `data`. */
export function envelopeOf(claims: Claims): Claims | undefined {
  if (typeof claims['type'] !== 'string' || !Object.hasOwn(claims, 'data')) return undefined
  return Object.fromEntries(members.filter((member) => Object.hasOwn(claims, member)).map((member) => [member, claims[member]]))
}

/** Whether `type`, `data` and, if both have it, `timestamp` are equal. */
export function isSameEvent(envelope: Claims, body: unknown): boolean {
  if (!isMap(body) || !Object.hasOwn(body, 'type') || !Object.hasOwn(body, 'data')) return false
  if (envelope['type'] !== body['type'] || !isSameJson(envelope['data'], body['data'])) return false
  if (!Object.hasOwn(envelope, 'timestamp') || !Object.hasOwn(body, 'timestamp')) return true
  return isSameJson(envelope['timestamp'], body['timestamp'])
}

/** Deep equality of parsed JSON, without recursion: a body can nest deeper than the stack. */
function isSameJson(left: unknown, right: unknown): boolean {
  const pairs: [unknown, unknown][] = [[left, right]]
  for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
    const [a, b] = pair
    if (a === b) continue
    if (Array.isArray(a) && Array.isArray(b)) {
      if (a.length !== b.length) return false
      a.forEach((item, index) => pairs.push([item, b[index]]))
      continue
    }
    if (!isMap(a) || !isMap(b)) return false
    const names = Object.keys(a)
    if (names.length !== Object.keys(b).length || names.some((name) => !Object.hasOwn(b, name))) return false
    names.forEach((name) => pairs.push([a[name], b[name]]))
  }
  return true
}
