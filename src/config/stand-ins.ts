/**
 * Made-up values for variables that are not set and files that are not there, so that rules can be tried where no secret is.
 * Each has the shape that its place asks for; what shows in a delivery is made from the variable's name.
 */
import type { Path } from './issues.ts'

export interface StandInPlace {
  path: Path
  /** The reference is all there is: `${VAR}`, and not `https://${VAR}/`. */
  isWhole: boolean
  /** `type` beside the value. */
  type: unknown
}

export type StandIn = (reference: string, place: StandInPlace) => string

const key = Buffer.alloc(32, 'made up').toString('base64')

export const standIn: StandIn = (reference, { path, isWhole, type }) => {
  const name = reference.startsWith('file:') ? (reference.split('/').at(-1) ?? '') : reference
  const host =
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '') || 'made-up'
  if (!isWhole) return host.endsWith('port') ? '8080' : host
  switch (String(path.findLast((step) => typeof step === 'string'))) {
    case 'secret':
    case 'secrets':
      return `whsec_${key}`
    case 'keys':
      return key
    case 'port':
      return '8080'
    case 'brokers':
      return `${host}:9092`
    case 'channel':
      return `C${host.toUpperCase().replaceAll('-', '')}`
    case 'mentions':
      return `U${host.toUpperCase().replaceAll('-', '')}`.padEnd(9, '0')
    case 'url':
      return path[0] === 'database' ? 'embedded' : type === 'table' ? `postgres://${host}/${host}` : `https://${host}/`
    case 'api_url':
    case 'base_url':
    case 'jwks_uri':
    case 'uri':
      return `https://${host}/`
    default:
      return host
  }
}
