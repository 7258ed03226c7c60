/** Says which signing secrets and encryption keys are none, where they stand. What came from a variable is never in the message. */
import { keysIn, readKey } from '../encryption.ts'
import { RelayError } from '../errors.ts'
import { decodeSecret } from '../verify/secrets.ts'
import { labelOf, type Fault, type Path } from './issues.ts'
import { at, listOf, mapsIn } from './raw.ts'

export function secretFaults(json: unknown): Fault[] {
  const sources = mapsIn(at(json, ['sources'])).flatMap(([name, source]) =>
    listOf(at(source, ['static', 'secrets'])).flatMap((secret, index) =>
      secretFault(secret, ['sources', name, 'static', 'secrets', index]),
    ),
  )
  const sinks = mapsIn(at(json, ['sinks'])).flatMap(([name, sink]) =>
    sink['type'] === 'http' ? secretFault(sink['secret'], ['sinks', name, 'secret']) : [],
  )
  const keys = listOf(at(json, ['encryption', 'keys'])).flatMap((key, index) =>
    faultsOf(key, (text) => keysIn([text]).map(readKey), ['encryption', 'keys', index]),
  )
  return [...sources, ...sinks, ...keys]
}

/** Named by its key: where it stands is said beside it, and all sinks that take over one secret say the same of it. */
function secretFault(secret: unknown, path: Path): Fault[] {
  return faultsOf(secret, (text) => decodeSecret(text, `\`${labelOf(path)}\``), path)
}

function faultsOf(secret: unknown, read: (text: string) => unknown, path: Path): Fault[] {
  if (typeof secret !== 'string' || secret === '') return []
  try {
    read(secret)
    return []
  } catch (error) {
    if (!(error instanceof RelayError)) throw error
    return [{ path, message: error.hint === undefined ? error.message : `${error.message}: ${error.hint}` }]
  }
}
