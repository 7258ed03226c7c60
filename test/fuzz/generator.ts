/** From a seed and a number to a volley. */
import type { Keys } from './keys.ts'
import { bodyKinds } from './kinds/bodies.ts'
import { framingKinds } from './kinds/framing.ts'
import { headerKinds } from './kinds/headers.ts'
import type { Kind } from './kinds/kind.ts'
import { replays } from './kinds/replays.ts'
import { signatureKinds } from './kinds/signatures.ts'
import { targetKinds } from './kinds/targets.ts'
import { tokenKinds } from './kinds/tokens.ts'
import { validKinds } from './kinds/valid.ts'
import { createRandom, type Random } from './random.ts'
import type { Draw } from './signed.ts'
import type { Shot, Volley } from './volley.ts'

/** Of 100 requests that are framed as they should be. */
const groups: readonly (readonly [percent: number, kinds: readonly Kind[]])[] = [
  [4, validKinds],
  [26, headerKinds],
  [24, signatureKinds],
  [24, tokenKinds],
  [18, bodyKinds],
  [4, targetKinds],
]

/** As a proxy would pipeline them. */
const maxShots = 8

const replayed = 0.02
const endsBroken = 0.25
const cutUp = 0.1

export function createGenerator(seed: number, keys: Keys): (number: number) => Volley {
  return (number) => {
    const random = createRandom(seed, number)
    let ids = 0
    const draw: Draw = { random, keys, freshId: () => `${seed}-${number}-${ids++}` }
    if (random.chance(replayed)) return { number, shots: random.pick(replays)(draw), paced: true, cuts: [] }
    const shots = shotsOf(draw)
    return { number, shots, paced: false, cuts: random.chance(cutUp) ? cutsOf(random, shots) : [] }
  }
}

function shotsOf(draw: Draw): Shot[] {
  const { random } = draw
  const shots: Shot[] = []
  for (let left = random.between(1, maxShots); left > 0; left--) {
    const shot = pickKind(random)(draw)
    shots.push(shot)
    if (shot.closing) return shots
  }
  if (random.chance(endsBroken)) shots.push(random.pick(framingKinds)(draw))
  return shots
}

function pickKind(random: Random): Kind {
  let percent = random.below(100)
  const group = groups.find(([share]) => (percent -= share) < 0)
  if (group === undefined) throw new Error('the shares do not add up to 100')
  return random.pick(group[1])
}

function cutsOf(random: Random, shots: readonly Shot[]): number[] {
  const length = shots.reduce((sum, { bytes }) => sum + bytes.length, 0)
  return Array.from({ length: random.between(1, 4) }, () => random.below(length + 1)).toSorted((a, b) => a - b)
}
