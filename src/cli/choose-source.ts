import type { LoadedConfig } from '../config/load.ts'
import type { SourceConfig } from '../config/schema.ts'
import { RelayError } from '../errors.ts'

/**
 * The source that was asked for, or the only one.
 *
 * @throws RelayError `usage`
 */
export function chooseSource({ config }: LoadedConfig, wanted: string | undefined): { name: string; source: SourceConfig } {
  const names = Object.keys(config.sources)
  const name = wanted ?? (names.length === 1 ? names[0] : undefined)
  const source = name !== undefined && names.includes(name) ? config.sources[name] : undefined
  if (name === undefined || source === undefined) {
    const problem = wanted === undefined ? 'say which source' : `there is no source ${wanted}`
    throw new RelayError('usage', `${problem}: --source ${names.join(' | ')}`)
  }
  return { name, source }
}
