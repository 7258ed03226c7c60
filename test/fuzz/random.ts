/** Seeded draws. Every volley has a stream of its own, so that it is the same whatever was sent before it. */
export interface Random {
  /** An integer in [0, limit). */
  below: (limit: number) => number
  /** An integer, both ends included. */
  between: (min: number, max: number) => number
  /** True in this part of all cases, 0 to 1. */
  chance: (part: number) => boolean
  pick: <T>(items: readonly T[]) => T
  bytes: (length: number) => Buffer
}

/** sfc32, which passes PractRand; seeded by mixing both numbers in, and warmed up. */
export function createRandom(seed: number, stream: number): Random {
  let a = seed | 0
  let b = stream | 0
  let c = Math.imul(stream, 0x9e3779b9) ^ Math.floor(stream / 2 ** 32)
  let counter = 1
  function next(): number {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    return sum >>> 0
  }
  for (let round = 0; round < 12; round++) next()

  const below = (limit: number) => Math.floor((next() / 2 ** 32) * limit)
  return {
    below,
    between: (min, max) => min + below(max - min + 1),
    chance: (part) => next() < part * 2 ** 32,
    pick(items) {
      const item = items[below(items.length)]
      if (item === undefined) throw new Error('there is nothing to pick from')
      return item
    },
    bytes: (length) => Buffer.from(Array.from({ length }, () => next() & 0xff)),
  }
}
