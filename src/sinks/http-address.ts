/**
 * The guard against requests into the relay's own network. Every address is judged at the moment of connecting,
 * so a name that resolves differently a second time gains nothing.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { callbackify } from 'node:util'
import { refusalOf } from '../public-address.ts'

export interface ResolvedAddress {
  address: string
  family: number
}

/** Every address of a host. */
export type Lookup = (host: string) => Promise<readonly ResolvedAddress[]>

/** The refusal, as an error that travels through Node's connection machinery. */
export class AddressRefused extends Error {
  constructor(host: string, address: string, why: string) {
    const resolved = address === host ? '' : ` resolves to ${address}, which`
    super(`${host}${resolved} is ${why}; set allow_private: true on the sink if it is meant`)
    this.name = 'AddressRefused'
  }
}

/** Refuses a host that is a literal IP: Node connects to those without a lookup. */
export function refuseLiteral(host: string): void {
  if (isIP(host) === 0) return
  const why = refusalOf(host)
  if (why !== undefined) throw new AddressRefused(host, host, why)
}

export const lookupAll: Lookup = (host) => systemLookup(host, { all: true })

/** A `lookup` for sockets that hands over public addresses only, and fails when a host has none. */
export function guardedLookup(lookup: Lookup): LookupFunction {
  return socketLookup(async (host) => {
    const all = await lookup(host)
    const passed = all.filter(({ address }) => refusalOf(address) === undefined)
    const first = all[0]
    if (passed.length === 0 && first !== undefined) {
      throw new AddressRefused(host, first.address, refusalOf(first.address) ?? 'refused')
    }
    return passed
  })
}

/** `lookup` in the shape that `net.connect` calls, with `all` (Happy Eyeballs) and without. */
export function socketLookup(lookup: Lookup): LookupFunction {
  const lookupWithCallback = callbackify(lookup)
  return (host, options, callback) => {
    lookupWithCallback(host, (error, addresses) => {
      if (error) return callback(error, '')
      const first = addresses[0]
      if (first === undefined) return callback(notFound(host), '')
      if (options.all === true) return callback(null, [...addresses])
      return callback(null, first.address, first.family)
    })
  }
}

function notFound(host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' })
}
