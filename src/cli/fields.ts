/** `name=value` as options that can be repeated. */
import { InvalidArgumentError } from 'commander'

export type Fields = Record<string, unknown>

/** `error_count=3` is a number, `note=abc` and `note="3"` are texts: the value is JSON where it can be. */
export function collectField(text: string, fields: Fields = {}): Fields {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('expected name=value')
  return { ...fields, [text.slice(0, at)]: jsonOr(text.slice(at + 1)) }
}

export function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
