import { createHash } from 'node:crypto'
import type { SinkConfig } from './schema.ts'

/** Stands for where an http sink sends to, without saying it: a path may hold a secret. Queries are left out. Null for other types. */
export function sinkAddress(sink: SinkConfig): string | null {
  if (sink.type !== 'http') return null
  const address = addresses.get(sink) ?? addressOf(sink.url)
  addresses.set(sink, address)
  return address
}

/** While a sink is paused it is asked for with each event. */
const addresses = new WeakMap<SinkConfig, string>()

function addressOf(url: string): string {
  const { origin, pathname } = new URL(url)
  return createHash('sha256').update(`${origin}${pathname}`).digest('hex').slice(0, 32)
}
