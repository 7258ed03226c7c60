/** The webhook-* headers: missing, doubled, changed, malformed. */
import { mutateText, trimmed } from '../mutate.ts'
import { draftOf, forged, now, shotOf, signedRequest, type Draw, type Signed } from '../signed.ts'
import type { Kind } from './kind.ts'

const webhookHeaders = ['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const

/** A token binds neither of them, so that a change of the id is for replays.ts. */
const binding = ['hmac', 'ed25519'] as const

export const headerKinds: readonly Kind[] = [missing, doubled, id, id, timestamp, timestamp, oddTimestamp, stale, huge, swapped]

function missing(draw: Draw) {
  const { headers, ...draft } = draftOf(signedRequest(draw))
  const left = headers.filter(([name]) => name !== draw.random.pick(webhookHeaders))
  return left.length === headers.length
    ? shotOf('header.all missing', { ...draft, headers: [] }, 'refused')
    : shotOf('header.missing', { ...draft, headers: left }, 'refused')
}

/** With the same value or another one, before or after, in any case. */
function doubled(draw: Draw) {
  const { random } = draw
  const { headers, ...draft } = draftOf(signedRequest(draw))
  const name = random.pick(webhookHeaders)
  const value = headers.find(([each]) => each === name)?.[1] ?? ''
  const again = [random.chance(0.5) ? name : name.toUpperCase(), random.chance(0.5) ? value : mutateText(random, value)] as const
  return shotOf('header.doubled', { ...draft, headers: headers.toSpliced(random.below(headers.length + 1), 0, again) }, 'refused')
}

function id(draw: Draw) {
  const signed = signedRequest(draw, { scheme: draw.random.pick(binding) })
  const odd = draw.random.chance(0.7)
    ? mutateText(draw.random, signed.id)
    : draw.random.pick(['', draw.freshId(), 'm'.repeat(257), '__proto__', 'é', `${signed.id} `.repeat(2), `${signed.id}.`])
  if (trimmed(odd) === signed.id) return forged('header.other id', signed, { id: `${signed.id}x` })
  return forged('header.other id', signed, { id: odd })
}

function timestamp(draw: Draw) {
  const signed = signedRequest(draw, { scheme: draw.random.pick(binding), timestamp: now(draw.random.between(-100, 100)) })
  const odd = draw.random.chance(0.5)
    ? mutateText(draw.random, signed.timestamp)
    : String(Number(signed.timestamp) + draw.random.pick([-100, -2, -1, 1, 2, 100]))
  return forged('header.other timestamp', signed, { timestamp: odd })
}

/** Signed as it is spelled, and still none. */
function oddTimestamp(draw: Draw) {
  const seconds = now(0)
  const spelled = draw.random.pick([
    `${seconds}.0`,
    `${seconds}e0`,
    `0x${Number(seconds).toString(16)}`,
    `+${seconds}`,
    `-${seconds}`,
    `${seconds},${seconds}`,
    `${seconds} ${seconds}`,
    `${seconds}000`,
    `000${seconds}`,
    '9'.repeat(40),
    '18446744073709551616',
    'NaN',
    'Infinity',
    '',
    new Date().toISOString(),
    `${seconds}\u00a0`,
  ])
  return forged('header.odd timestamp', signedRequest(draw, { timestamp: spelled }), {})
}

function stale(draw: Draw) {
  const seconds = draw.random.pick([310, 3_600, 86_400, 1_000_000_000]) * draw.random.pick([-1, 1])
  return forged('header.stale', signedRequest(draw, { timestamp: now(seconds) }), {})
}

/** Below what Node lets all headers of a request be. */
function huge(draw: Draw) {
  const signed = signedRequest(draw, { scheme: draw.random.pick(binding) })
  const filler = draw.random.pick(['a', '.', 'v1, ', ' ', ',', '=', '\t', 'é']).repeat(draw.random.between(300, 3_000))
  const odd: Partial<Signed>[] = [{ id: `${signed.id}${filler}x` }, { timestamp: `${filler}1` }, { signature: `${filler}x` }]
  return forged('header.huge', signed, draw.random.pick(odd))
}

function swapped(draw: Draw) {
  const signed = signedRequest(draw)
  return forged('header.swapped', signed, { timestamp: signed.id, id: signed.timestamp })
}
