/** Where records go, held to what the Kafka client can use. */
import { isIP, isIPv4 } from 'node:net'
import { z } from 'zod'

/** One entry of `brokers`: one address, or several with commas between them. */
export const brokerEntry = z
  .string()
  .min(1, { abort: true })
  .refine((entry) => addressesIn(entry).every((address) => !isIPv6(address)), {
    error: 'the Kafka client takes no IPv6 address: expected a host name or an IPv4 address, and a port',
    abort: true,
  })
  .refine((entry) => addressesIn(entry).every(isHostAndPort), { error: 'expected host:port, such as kafka-1.example.com:9092' })

export function addressesIn(entry: string): string[] {
  return entry
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** With or without brackets, with or without a port: the client splits at the first colon. */
function isIPv6(address: string): boolean {
  const bracketed = /^\[(.*)\](:\d*)?$/.exec(address)
  return isIP(bracketed?.[1] ?? address) === 6
}

function isHostAndPort(address: string): boolean {
  const [, host = '', port = ''] = /^([A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?):([0-9]{1,5})$/.exec(address) ?? []
  const isNumeric = /^[0-9.]+$/.test(host)
  return host !== '' && (!isNumeric || isIPv4(host)) && Number(port) >= 1 && Number(port) <= 65_535
}

/** Kafka's own rule. */
export function isTopic(name: string): boolean {
  return /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/.test(name)
}

export const topicRule = 'expected a topic name: letters of a to z, digits, dot, dash and underscore, at most 249 long'

/** A name, or CEL for one. */
export const kafkaTopic = z.union(
  [
    z.string().refine(isTopic, { error: ({ input }) => (input === '' ? 'must not be empty' : topicRule) }),
    z.strictObject({ value: z.string().min(1).describe('CEL over `event`.') }),
  ],
  { error: 'expected a topic name, or a map with `value`: CEL for one' },
)
