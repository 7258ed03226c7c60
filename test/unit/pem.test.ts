import { createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { describe, expect, test } from 'vitest'
import * as pem from '../../src/config/pem.ts'
import { certificate, privateKey } from '../fixtures/pem.ts'

const flat = (text: string) => text.replaceAll('\n', '\\n')
const locked = createPrivateKey(privateKey).export({ type: 'pkcs8', format: 'pem', cipher: 'aes128', passphrase: 'x' }).toString()

describe('certificates', () => {
  test.each([
    ['one', certificate],
    ['several', certificate + certificate],
    ['with line breaks of Windows', certificate.replaceAll('\n', '\r\n')],
    ['without a line break at the end', certificate.trim()],
    ['with words before it', `Certificate:\n  Data: made up\n${certificate}`],
    ['beside its key', privateKey + certificate],
  ])('%s', (_, text) => {
    expect(pem.certificates.safeParse(text).success).toBe(true)
    expect(() => createSecureContext({ cert: text, ca: text })).not.toThrow()
  })

  test.each([
    ['a path', '/run/secrets/ca.pem'],
    ['without its line breaks', flat(certificate)],
    ['cut off', certificate.slice(0, 300)],
    ['followed by one that is cut off', certificate + certificate.slice(0, 300)],
    ['without its last line', certificate.replace(/-----END.*/, '')],
    ['a key', privateKey],
    ['a request for one', certificate.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST')],
  ])('not %s', (_, text) => {
    expect(pem.certificates.safeParse(text).success).toBe(false)
  })
})

describe('a private key', () => {
  test('as it is made', () => {
    expect(pem.privateKey.safeParse(privateKey).success).toBe(true)
    expect(() => createSecureContext({ key: privateKey })).not.toThrow()
  })

  test.each([
    ['a path', '/run/secrets/key.pem'],
    ['without its line breaks', flat(privateKey)],
    ['one that asks for a passphrase', locked],
    ['a certificate', certificate],
  ])('not %s', (_, text) => {
    expect(pem.privateKey.safeParse(text).success).toBe(false)
    expect(() => createSecureContext({ key: text })).toThrow(/DECODER|bad decrypt/)
  })
})
