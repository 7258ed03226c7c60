import { closestMatch } from 'leven'

/** The candidate a reader most likely meant, in whatever case; undefined when none is near: a wild guess helps less than none. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const inAnyCase = candidates.find((one) => one !== name && one.toLowerCase() === name.toLowerCase())
  return inAnyCase ?? closestMatch(name, candidates, { maxDistance: Math.max(1, Math.ceil(name.length / 3)) })
}

/** `, did you mean …?`, or nothing. */
export function suggestion(name: string, candidates: readonly string[]): string {
  const match = nearest(name, candidates)
  return match === undefined ? '' : `, did you mean \`${match}\`?`
}
