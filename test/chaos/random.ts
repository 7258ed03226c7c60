/** Numbers that a seed repeats: mulberry32. */

export interface Random {
  /** In [0, 1). */
  next(): number
  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number
  pick<T>(list: readonly [T, ...T[]]): T
  /** Another sequence, which does not depend on how far this one has come. */
  fork(name: string): Random
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0

  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  return {
    next,
    between: (min, max) => min + Math.floor(next() * (max - min + 1)),
    pick: (list) => list[Math.floor(next() * list.length)] ?? list[0],
    fork: (name) => createRandom(hash(`${seed} ${name}`)),
  }
}

/** Each of `list` once in an order of chance, then again in another: all have had their turn before one has a second. */
export function inTurns<T>(random: Random, list: readonly T[]): () => T | undefined {
  let left: T[] = []
  return () => {
    if (left.length === 0) left = [...list]
    return left.splice(Math.floor(random.next() * left.length), 1)[0]
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193)
  return value >>> 0
}
