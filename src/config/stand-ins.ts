/**
 * Made-up values for variables that are not set and files that are not there, so that rules can be tried where no secret is.
 * Each has the shape that its place asks for; what shows in a delivery is made from the variable's name.
 */
import { generateKeyPairSync } from 'node:crypto'
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

/** Self-signed, of a key that was thrown away. */
export const madeUpCertificate = `-----BEGIN CERTIFICATE-----
MIIBfDCCASGgAwIBAgIUXeZacbHs6UuTjCLuXYLUIFne+08wCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHbWFkZS11cDAgFw0yNjExMzAyMTMxMTRaGA8yMTI2MTEwNjIx
MzExNFowEjEQMA4GA1UEAwwHbWFkZS11cDBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABK6PRjCk7WHhheFSjyDS2aUv23xP0bSvJSnBI026Ycc2Sc9YTzIFolg5E3Qg
+0LXqsOeiqB2VoHCqZBTWs0nUKyjUzBRMB0GA1UdDgQWBBQGnu+LGvnv26KTXvQL
LwH3QO062zAfBgNVHSMEGDAWgBQGnu+LGvnv26KTXvQLLwH3QO062zAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCqJ1twTMpeC/PbkfnzL9Y4Idff
q6uHwhFIewl7Rx3EPgIhAOqMj0rUs9uTCoSFc3pNTcMJu0CMOeRdl7BIfySD0YXI
-----END CERTIFICATE-----
`

/** Written out, it would look like one that somebody lost. */
function madeUpPrivateKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

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
    case 'ca':
    case 'cert':
      return madeUpCertificate
    case 'key':
      return path.includes('tls') ? madeUpPrivateKey() : host
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
