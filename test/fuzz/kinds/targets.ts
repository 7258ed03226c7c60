/** Signed requests that go elsewhere, or come by another method. */
import { draftOf, eventOf, pathOf, shotOf, signedRequest, type Draw } from '../signed.ts'
import type { Kind } from './kind.ts'

export const targetKinds: readonly Kind[] = [target, target, absolute, method]

function target(draw: Draw) {
  const signed = signedRequest(draw, { scheme: 'hmac' })
  const path = pathOf(signed.source)
  const targets = [
    '/',
    '//',
    `/${path}`,
    `${path}/`,
    `${path}/.`,
    `/x/..${path}`,
    `${path}%00`,
    `${path}%2f`,
    `${path};x`,
    path.toUpperCase(),
    path.replace('o', '%6f'),
    `${path}%`,
    `${path}%ff`,
    `/webhooks/__proto__`,
    '/webhooks/constructor',
    '*',
    'http://[bad/',
    `/${'a'.repeat(draw.random.between(1_000, 9_000))}`,
    `/${'../'.repeat(200)}etc/passwd`,
    `${path}?${'x'.repeat(5_000)}`.replace('webhooks', 'webhook'),
    '/webhooks/:source',
    '/webhooks/(.*)',
  ]
  return shotOf('target.another', { ...draftOf(signed), target: draw.random.pick(targets) }, 'refused')
}

/** Whatever is named before the path: it is the path that counts, and no signature binds it. */
function absolute(draw: Draw) {
  const signed = signedRequest(draw, { scheme: 'hmac' })
  const before = draw.random.pick(['http://relay:99999', 'file://', 'http://user:password@relay', 'http://[::1]'])
  return shotOf('target.absolute', { ...draftOf(signed), target: `${before}${pathOf(signed.source)}` }, 'either', eventOf(signed))
}

function method(draw: Draw) {
  const signed = signedRequest(draw, { scheme: 'hmac' })
  const methods = [
    'GET',
    'HEAD',
    'PUT',
    'DELETE',
    'OPTIONS',
    'PATCH',
    'TRACE',
    'PROPFIND',
    'SEARCH',
    'M-SEARCH',
    'QUERY',
    'PURGE',
    'LINK',
  ]
  return shotOf('target.another method', { ...draftOf(signed), method: draw.random.pick(methods) }, 'refused')
}
