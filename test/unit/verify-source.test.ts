import { describe, expect, it } from 'vitest'
import { sourceConfig } from '../fixtures/verify-source.ts'
import { RelayError } from '../../src/errors.ts'
import { verificationOf } from '../../src/verify/source.ts'

const good = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

function failureOf(run: () => unknown): RelayError {
  try {
    run()
  } catch (error) {
    if (error instanceof RelayError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function withUri(jwks_uri: string) {
  return () => verificationOf('gemini', sourceConfig({ dynamic: { audience: 'project', jwks_uri } }))
}

describe('the secrets of a source', () => {
  it('are those that expanded to something', () => {
    expect(verificationOf('gemini', sourceConfig({ static: { secrets: ['', good, ''] } }))).toEqual({
      name: 'gemini',
      secrets: [good],
    })
    expect(verificationOf('gemini', sourceConfig({}))).toEqual({ name: 'gemini', secrets: [] })
  })

  it.each([
    ['a prefix alone', 'whsec_'],
    ['what Node decodes to nothing', 'whsec_!!!!'],
    ['23 bytes', `whsec_${Buffer.alloc(23, 1).toString('base64')}`],
    ['65 bytes', `whsec_${Buffer.alloc(65, 1).toString('base64')}`],
    ['no padding', `whsec_${Buffer.alloc(32, 1).toString('base64').replace('=', '')}`],
    ['the URL alphabet', `whsec_${Buffer.alloc(32, 255).toString('base64url')}=`],
    ['white space around it', ` ${good}`],
    ['a line break at its end', `${good}\n`],
    ['a public key', `whpk_${Buffer.alloc(32, 1).toString('base64')}`],
    ['spaces only', '   '],
  ])('refuse %s, naming the source and the position and not the secret', (_what, bad) => {
    const error = failureOf(() => verificationOf('gemini', sourceConfig({ static: { secrets: [good, '', bad] } })))
    expect(error.code).toBe('config_invalid')
    expect(error.message).toMatch(/^source gemini: signing secret 3 /)
    expect(`${error.message} ${error.hint}`).not.toContain(bad.slice('whsec_'.length, 12) || `${bad} 3`)
  })

  it.each([24, 32, 64])('may hold %i bytes', (bytes) => {
    const secret = `whsec_${Buffer.alloc(bytes, 1).toString('base64')}`
    expect(verificationOf('gemini', sourceConfig({ static: { secrets: [secret] } })).secrets).toEqual([secret])
  })
})

describe('the JWKS address of a source', () => {
  it.each([
    'https://keys.example/jwks.json',
    'http://localhost:1/x',
    'http://127.0.0.1:9/x',
    'http://127.1/x',
    'http://[::1]:9/x',
  ])('may be %s', (uri) => {
    expect(withUri(uri)().dynamic).toEqual({ jwksUri: uri, audience: 'project', algorithms: ['RS256'], unboundJwt: 'once' })
  })
  it.each([
    'http://keys.example/jwks.json',
    'http://10.0.0.1/x',
    'http://localhost.example/x',
    'http://127.0.0.1.example/x',
    'http://[::2]/x',
  ])('may not be %s: it must be https or loopback', (uri) => {
    expect(failureOf(withUri(uri)).message).toMatch(/source gemini: jwks_uri must be https/)
  })
  it('may not hold credentials, and the message does not repeat them', () => {
    const error = failureOf(withUri('https://user:hunter2@keys.example/jwks.json'))
    expect(error.code).toBe('config_invalid')
    expect(error.message).not.toContain('hunter2')
  })
})
