/** What a valid configuration says that is probably not meant. */
import { dataDoubts } from './data-doubts.ts'
import type { Fault } from './issues.ts'
import { declaredDoubts, neverDoubts, unheardSources } from './never-doubts.ts'
import { resourceDoubts } from './resource-doubts.ts'
import { resourceFieldDoubts } from './resource-field-doubts.ts'
import type { Config } from './schema.ts'
import { addressDoubts } from './address-doubts.ts'
import { forAll } from './sink-defaults.ts'
import { strayDoubts } from './stray-doubts.ts'
import { twiceDoubts } from './twice-doubts.ts'
import { worldOf } from './world.ts'

export function doubts({ sources, sinks, rules, gemini, server, admin, defaults = {} }: Config): Fault[] {
  const world = worldOf({ sources, gemini })
  const fed = new Set(rules.flatMap(({ to }) => to.map(({ sink }) => sink)))
  const keyless = Object.entries(sources).filter(
    ([, { static: secrets, dynamic }]) => dynamic === undefined && secrets?.managed !== true && !secrets?.secrets.some(Boolean),
  )
  return [
    ...keyless.map(([name]): Fault => {
      return {
        path: ['sources', name],
        at: 'key',
        message: `the source \`${name}\` trusts no key yet: it answers 503 until it has a secret or \`dynamic\``,
      }
    }),
    ...Object.keys(sinks)
      .filter((name) => !fed.has(name))
      .map((name): Fault => ({ path: ['sinks', name], at: 'key', message: `no rule feeds the sink \`${name}\`` })),
    ...Object.keys(defaults)
      .filter((type) => type !== forAll && !Object.values(sinks).some((sink) => sink.type === type))
      .map((type): Fault => ({ path: ['defaults', type], at: 'key', message: `no sink is of type ${type}` })),
    ...resourceDoubts({ sinks, rules }),
    ...resourceFieldDoubts({ sinks, rules }),
    ...strayDoubts({ rules }),
    ...neverDoubts({ rules }, world),
    ...declaredDoubts({ gemini }),
    ...addressDoubts({ sinks }),
    ...unheardSources({ rules }, world),
    ...twiceDoubts({ rules }),
    ...dataDoubts({ rules, sinks }, world),
    ...portDoubts({ server, admin }),
    ...(Object.keys(sources).length === 0
      ? [{ path: ['sources'], at: 'key' as const, message: 'there is no source: nothing is received' }]
      : []),
    ...(rules.length === 0
      ? [{ path: ['rules'], at: 'key' as const, message: 'there is no rule: events are kept and go nowhere' }]
      : []),
  ]
}

/** Whoever listens on all addresses listens on each: `::` on those of IPv4 too. */
function portDoubts({ server, admin }: Pick<Config, 'server' | 'admin'>): Fault[] {
  if (admin === undefined || admin.port !== server.port || admin.port === 0) return []
  const hosts = [server.host, admin.host]
  const isOne = server.host === admin.host || hosts.includes('::')
  if (!isOne && !(hosts.includes('0.0.0.0') && !hosts.some((host) => host.includes(':')))) return []
  return [{ path: ['admin', 'port'], message: '`port`: `server` listens there' }]
}
