/**
 * The guard against requests into the relay's own network. Every address is judged at the moment of connecting,
 * so a name that resolves differently a second time gains nothing.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { callbackify } from 'node:util'
import ipaddr from 'ipaddr.js'

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

/**
 * Why `address` is not on the public internet, or undefined when it is.
 * IPv4 inside IPv6 (mapped, and NAT64's 64:ff9b::/96) is judged as the IPv4 address that is reached in the end.
 */
export function refusalOf(address: string): string | undefined {
  if (isIP(address) === 0) return 'not an IP address'
  const parsed = ipaddr.process(address)
  const ip = parsed instanceof ipaddr.IPv6 && parsed.match(nat64) ? ipaddr.fromByteArray(parsed.toByteArray().slice(12)) : parsed
  const range = ip.range()
  const embedded = isIP(address) === 6 && ip.kind() === 'ipv4' ? ` (${ip.toString()})` : ''
  if (range !== 'unicast') return `in the ${words(range)} range${embedded}`
  if (ip instanceof ipaddr.IPv6 && !ip.match(globalUnicast)) return 'outside the global unicast space'
  if (publicMetadata.has(ip.toString())) return `a cloud metadata address${embedded}`
  return undefined
}

/** RFC 6052's well-known prefix. */
const nat64: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('64:ff9b::'), 96]

/** All that IANA has given out for global unicast; the rest, IPv4-compatible `::7f00:1` too, is reserved. */
const globalUnicast: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3]

/** Metadata services on addresses that look public: Azure's. The others are link-local, private or shared space already. */
const publicMetadata = new Set(['168.63.129.16'])

function words(range: string): string {
  return range.replaceAll(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
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
