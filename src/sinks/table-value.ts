/** What CEL gave, as the text that Postgres casts to the column's type. */
import { stringifyJson } from './deep-json.ts'
import type { TableColumn } from './table-shape.ts'

export function columnText(value: unknown, kind: TableColumn['kind']): string | null {
  if (value === null || value === undefined) return null
  if (kind === 'json') return jsonText(value)
  if (kind === 'array' && Array.isArray(value)) return arrayLiteral(value)
  if (kind === 'json_array' && Array.isArray(value)) return listLiteral(value.map((item) => elementOf(item, jsonText)))
  return scalarText(value)
}

function scalarText(value: unknown): string {
  if (typeof value === 'string') return storable(value)
  return jsonText(value)
}

function jsonText(value: unknown): string {
  // jsonb takes neither \u0000 nor half a surrogate pair, escaped or not. JSON.stringify writes both as escapes.
  return stringifyJson(value).replaceAll(unstorableEscape, (escape, backslashes: string) =>
    backslashes.length % 2 === 0 ? `${backslashes}\\ufffd` : escape,
  )
}

/** An escape is one only after an even number of backslashes: `\\u0000` is the text `\u0000`. */
const unstorableEscape = /(\\*)\\u(?:0000|d[89a-f][0-9a-f]{2})/gi

/** Text in Postgres has no NUL, and UTF-8 no lone surrogates. The row matters more than the character. */
function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD')
}

/** Lists in the list are further dimensions. */
function arrayLiteral(values: readonly unknown[]): string {
  return listLiteral(values.map((value) => (Array.isArray(value) ? arrayLiteral(value) : elementOf(value, scalarText))))
}

function elementOf(value: unknown, text: (value: unknown) => string): string {
  if (value === null || value === undefined) return 'NULL'
  return `"${text(value).replaceAll(/["\\]/g, '\\$&')}"`
}

function listLiteral(elements: readonly string[]): string {
  return `{${elements.join(',')}}`
}
