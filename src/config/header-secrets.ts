/** Notes in each header which parts of its text came from variables and files. */
import type { HeaderText } from './headers.ts'
import type { Path } from './issues.ts'
import type { Config } from './schema.ts'

/** @param valuesAt what the references in the text at a path stood for */
export function noteHeaderSecrets(config: Config, valuesAt: (path: Path) => readonly string[]): Config {
  const noted = <T extends HeaderText | null>(headers: Record<string, T>, path: Path): Record<string, T> =>
    Object.fromEntries(
      Object.entries(headers).map(([name, header]) => [name, header && { ...header, secrets: valuesAt([...path, name]) }]),
    )
  const sinks = Object.entries(config.sinks).map(([name, sink]) => [
    name,
    'headers' in sink && sink.headers !== undefined
      ? { ...sink, headers: noted(sink.headers, ['sinks', name, 'headers']) }
      : sink,
  ])
  const rules = config.rules.map((rule, index) => ({
    ...rule,
    to: rule.to.map((target, n) =>
      'headers' in target && target.headers !== undefined
        ? { ...target, headers: noted(target.headers, ['rules', index, 'to', n, 'headers']) }
        : target,
    ),
  }))
  return { ...config, sinks: Object.fromEntries(sinks), rules }
}
