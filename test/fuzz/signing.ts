/** Signs with node:crypto alone: nothing here is shared with what verifies. */
import { createHmac, sign, type KeyObject } from 'node:crypto'
import type { SigningKey } from '../../src/emulator/keys.ts'

export function signV1(secret: Buffer, id: string, timestamp: string, body: Buffer): string {
  return `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.`, 'latin1').update(body).digest('base64')}`
}

export function signV1a(key: KeyObject, id: string, timestamp: string, body: Buffer): string {
  return `v1a,${sign(null, Buffer.concat([Buffer.from(`${id}.${timestamp}.`, 'latin1'), body]), key).toString('base64')}`
}

/** `header` and `claims` as they are; a text is taken for the JSON itself. */
export function signToken(key: SigningKey, header: unknown, claims: unknown): string {
  const input = signingInput(header, claims)
  return `${input}.${rawSignature(key, input).toString('base64url')}`
}

export function signingInput(header: unknown, claims: unknown): string {
  return `${part(header)}.${part(claims)}`
}

/** As JWS has it: an ES256 signature is r and s, not DER. */
export function rawSignature({ alg, privateKey }: SigningKey, input: string): Buffer {
  if (alg === 'EdDSA') return sign(null, Buffer.from(input), privateKey)
  return sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
}

function part(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}
