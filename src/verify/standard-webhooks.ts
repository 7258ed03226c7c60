import { createHmac, timingSafeEqual, verify, type KeyObject } from 'node:crypto'

/** What v1 and v1a sign: `id.timestamp.body`, the body as bytes. */
export interface SignedContent {
  id: string
  timestamp: string
  body: Buffer
}

/**
 * Whether any signature is that of any secret. Compared as base64 text: 32 bytes have one canonical spelling, so that a
 * sloppy spelling of the right signature is a wrong one. In constant time: nowhere else is a secret, or what is made of one, compared;
 * Ed25519 and JWT are verified with public keys.
 */
export function matchesHmac(content: SignedContent, signatures: readonly string[], secrets: readonly KeyObject[]): boolean {
  const prefix = `${content.id}.${content.timestamp}.`
  const given = signatures.map((signature) => Buffer.from(signature))
  return secrets.some((secret) => {
    const expected = Buffer.from(createHmac('sha256', secret).update(prefix).update(content.body).digest('base64'))
    return given.some((bytes) => bytes.length === expected.length && timingSafeEqual(bytes, expected))
  })
}

/** Whether any signature is that of any key: the header names no key, so each is tried. */
export function matchesEd25519(content: SignedContent, signatures: readonly Buffer[], keys: readonly KeyObject[]): boolean {
  const message = Buffer.concat([Buffer.from(`${content.id}.${content.timestamp}.`), content.body])
  return keys.some((key) => signatures.some((signature) => verify(null, message, key, signature)))
}

/** The rest of an id, if any, and a timestamp. */
const beginsWithRest = /^(?:[\x21-\x7e]{0,255}\.)?\d{10,12}\./
const maxRestLength = 256 + 13

/**
 * The full stops between id, timestamp and body are no part of either, so one signature fits several splits: with a body of
 * `{"note":"a.1700000000.b"}` a captured request can be sent again as id `….{"note":"a`, timestamp 1700000000, body `b"}`. The
 * longer id of two splits always holds a timestamp between full stops, and what is left of a JSON document there is none;
 * the shorter one leaves the rest of the id and a timestamp in front of its body. Neither is what an honest sender of JSON makes.
 */
export function isSplitElsewhere(content: SignedContent, json: unknown): boolean {
  if (json !== undefined) return false
  return /\.\d{10,12}(\.|$)/.test(content.id) || beginsWithRest.test(content.body.toString('latin1', 0, maxRestLength))
}
