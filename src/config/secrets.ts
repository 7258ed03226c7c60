/** Says which signing secrets are none, where they stand. What came from a variable is never in the message. */
import { RelayError } from '../errors.ts'
import { decodeSecret, secretLabel } from '../verify/secrets.ts'
import type { Fault, Path } from './issues.ts'
import { at, listOf, mapsIn } from './raw.ts'

export function secretFaults(json: unknown): Fault[] {
  const sources = mapsIn(at(json, ['sources'])).flatMap(([name, source]) =>
    listOf(at(source, ['static', 'secrets'])).flatMap((secret, index) =>
      faultOf(secret, secretLabel(name, index), ['sources', name, 'static', 'secrets', index]),
    ),
  )
  const sinks = mapsIn(at(json, ['sinks'])).flatMap(([name, sink]) =>
    sink['type'] === 'http' ? faultOf(sink['secret'], `sink ${name}: secret`, ['sinks', name, 'secret']) : [],
  )
  return [...sources, ...sinks]
}

function faultOf(secret: unknown, where: string, path: Path): Fault[] {
  if (typeof secret !== 'string' || secret === '') return []
  try {
    decodeSecret(secret, where)
    return []
  } catch (error) {
    if (!(error instanceof RelayError)) throw error
    return [{ path, message: error.hint === undefined ? error.message : `${error.message}: ${error.hint}` }]
  }
}
