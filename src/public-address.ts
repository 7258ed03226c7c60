/** Which addresses are on the public internet. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Of a URL, without the brackets of an IPv6 address. */
export function bareHost({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
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
