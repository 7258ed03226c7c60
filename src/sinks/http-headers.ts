/** The headers that the configuration adds to each rule's requests. Pure. */
import { badHeaderValue, isHeaderValue, type HeaderText } from '../config/headers.ts'
import type { SinkConfigOf, TargetConfig } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { compileText, TemplateError } from '../route/template.ts'
import type { Rendering } from './sink.ts'

export interface ConfiguredHeaders {
  /** By lower-case name. */
  headers: Record<string, string>
  /** Values that hold something secret, as they are sent: it may not be recognizable in them. */
  secrets: string[]
}

/**
 * A header that renders to nothing is left out.
 *
 * @throws TemplateError when a text does not compile; so does the function it returns, when one fails on an event
 */
export function compileHeaders(config: SinkConfigOf<'http'>, target: TargetConfig): (delivery: Rendering) => ConfiguredHeaders {
  const texts = new Map<string, HeaderText>()
  for (const [name, header] of Object.entries({ ...config.headers })) texts.set(name.toLowerCase(), header)
  for (const [name, header] of Object.entries({ ...target.headers })) {
    if (header === null) texts.delete(name.toLowerCase())
    else texts.set(name.toLowerCase(), header)
  }
  const compiled = [...texts].map(([name, { text, secrets }]) => ({
    name,
    isSecret: secrets.length > 0,
    render: compileText(text, { escape: 'none' }),
  }))
  return ({ stored, resource }) => {
    const rendered = compiled
      .map((header) => ({ ...header, value: valueOf(header, () => header.render(stored.event, resource)) }))
      .filter(({ value }) => value !== '')
    return {
      headers: Object.fromEntries(rendered.map(({ name, value }) => [name, value])),
      secrets: rendered.flatMap(({ isSecret, value }) => (isSecret ? [value, ...longWords(value)] : [])),
    }
  }
}

/** The error of a text that came from a variable can quote it. */
function valueOf({ name, isSecret }: { name: string; isSecret: boolean }, render: () => string): string {
  let value: string
  try {
    value = render()
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    const why = isSecret ? 'its text fails on this event; it comes from a variable and is not shown' : error.message
    throw new TemplateError(`header ${name}: ${why}`, undefined, isSecret ? {} : { cause: error })
  }
  // Receivers take it off anyway (RFC 9110, 5.5).
  const bare = value.replaceAll(/^[ \t]+|[ \t]+$/g, '')
  if (!isHeaderValue(bare)) throw new TemplateError(`header ${name}: ${badHeaderValue}`)
  return bare
}

/** What the configuration's headers hold of variables and files. */
export function headerSecrets(config: SinkConfigOf<'http'>, targets: readonly Target[]): string[] {
  const all = [config.headers, ...targets.map(({ target }) => target.headers)]
  return all.flatMap((headers) => Object.values({ ...headers }).flatMap((header) => header?.secrets ?? []))
}

/** `Bearer` says nothing of anybody; what follows it does. */
function longWords(value: string): string[] {
  return value.split(/\s+/).filter(({ length }) => length >= 8)
}
