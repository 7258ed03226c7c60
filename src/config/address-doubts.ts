/** http sinks whose address is refused at every attempt. */
import { isIP } from 'node:net'
import { isLoopback } from '../loopback.ts'
import { bareHost, refusalOf } from '../public-address.ts'
import type { Fault } from './issues.ts'
import type { Config } from './schema.ts'

export function addressDoubts({ sinks }: Pick<Config, 'sinks'>): Fault[] {
  return Object.entries(sinks).flatMap(([name, sink]): Fault[] => {
    if (sink.type !== 'http' || sink.allow_private || !isPrivate(new URL(sink.url))) return []
    const message = '`url`: this is no public address, so that each delivery dies: `allow_private: true` permits it'
    return [{ path: ['sinks', name, 'url'], message }]
  })
}

/** As it is written; what a name leads to is known when it is looked up. */
function isPrivate(url: URL): boolean {
  const host = bareHost(url)
  return isLoopback(url.hostname) || (isIP(host) !== 0 && refusalOf(host) !== undefined)
}
