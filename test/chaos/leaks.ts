/** What a process may still hold when there is nothing left to do. */
import { relayNames } from './faults.ts'
import type { Evidence } from './evidence.ts'
import type { MemorySample } from './relay.ts'
import type { Rig } from './rig.ts'

/** By part, of one process: docs/operations.md, “Connections”. */
const connectionsOf: Readonly<Record<string, number>> = {
  'gemini-relay accept': 1,
  'gemini-relay claim': 2,
  'gemini-relay deliver': 3,
  'gemini-relay admin': 2,
  'gemini-relay listen': 1,
}

/** Of a table sink: its `concurrency`. */
const connectionsOfSink = 2

/** After so long a process has loaded and compiled what it needs. */
const warmAfterMs = 20_000

/** Node takes what it is given before it collects: growth within this is none. */
const memoryBound = { factor: 2, slackMb: 64 }

export function findLeaks({ relays, postgres }: Rig, evidence: Evidence): string[] {
  return [
    ...relayNames.flatMap((name) => [
      ...relays[name].crashes.map(({ how }) => `relay ${name} ${how}`),
      ...memoryLeak(relays[name].memory()).map((what) => `relay ${name}: ${what}`),
    ]),
    ...evidence.connections.flatMap(({ part, count, inTransaction }) => {
      const allowed = (connectionsOf[part] ?? connectionsOfSink) * relayNames.length
      return [
        ...(count > allowed ? [`${count} connections of ${part}, at most ${allowed} are meant`] : []),
        ...(inTransaction > 0 ? [`${inTransaction} connections of ${part} idle in a transaction`] : []),
      ]
    }),
    ...evidence.leases.map(({ id, holder }) => `lease ${id} of ${holder} covers nothing and is still there`),
    ...(postgres.isUp() ? [] : ['Postgres is not up']),
  ]
}

function memoryLeak(samples: readonly MemorySample[]): string[] {
  const warm = samples.find(({ ageMs }) => ageMs >= warmAfterMs)
  const last = samples.at(-1)
  if (warm === undefined || last === undefined) return []
  const allowed = warm.mb * memoryBound.factor + memoryBound.slackMb
  if (last.mb <= allowed) return []
  return [
    `${Math.round(last.mb)} MB resident after ${Math.round(last.ageMs / 1_000)} s, ${Math.round(warm.mb)} MB when it was warm`,
  ]
}
