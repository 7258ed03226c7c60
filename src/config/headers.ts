/** Headers that the http sink is told to send: which names it takes, and what a value may hold. */
import { z } from 'zod'
import type { Fault, Path } from './issues.ts'
import { at, isMap, listOf, mapsIn, targetsOf } from './raw.ts'
import { nonEmpty } from './values.ts'

/** RFC 9110's token. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** They say where the body ends and whose the connection is: one of somebody else's would split a request in two. */
const ofTheConnection = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** What a receiver verifies, and what it tells deliveries apart by. */
const ofTheRelay = /^(webhook|relay)-/

const headerName = z
  .string()
  .regex(token, { error: 'expected the name of a header: letters, digits and dashes', abort: true })
  .refine((name) => !isReserved(name), { error: 'the relay sets this header itself' })

function isReserved(name: string): boolean {
  const lower = name.toLowerCase()
  return ofTheConnection.has(lower) || ofTheRelay.test(lower)
}

/** Liquid, with what in it came from variables and files: that is secret, see header-secrets.ts. */
const headerText = nonEmpty.transform((text): HeaderText => ({ text, secrets: [] }))

export interface HeaderText {
  text: string
  secrets: readonly string[]
}

export const headersSchema = z.record(headerName, headerText)

/** In a rule, null takes the sink's header of that name away. */
export const targetHeadersSchema = z.record(headerName, headerText.nullable())

/** Anything else ends the header, or is no byte. */
export function isHeaderValue(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text)
}

export const badHeaderValue = 'a header holds one line of Latin-1: no line break, no other control character'

/** What the schema cannot see: names that differ in case alone, and texts that are no value as they stand. */
export function headerFaults(json: unknown): Fault[] {
  const ofSinks = mapsIn(at(json, ['sinks'])).flatMap(([name, sink]) => faultsIn(sink['headers'], ['sinks', name, 'headers']))
  const ofRules = listOf(at(json, ['rules'])).flatMap((rule, index) =>
    isMap(rule)
      ? targetsOf(rule).flatMap(({ target }, n) => faultsIn(target['headers'], ['rules', index, 'to', n, 'headers']))
      : [],
  )
  return [...ofSinks, ...ofRules]
}

function faultsIn(headers: unknown, path: Path): Fault[] {
  if (!isMap(headers)) return []
  const seen = new Map<string, string>()
  return Object.entries(headers).flatMap(([name, text]): Fault[] => {
    const where = [...path, name]
    const other = seen.get(name.toLowerCase())
    seen.set(name.toLowerCase(), name)
    if (other !== undefined) return [{ path: where, at: 'key', message: `\`${name}\`: \`${other}\` is the same header` }]
    if (typeof text !== 'string' || /\{[{%]/.test(text) || isHeaderValue(text)) return []
    return [{ path: where, message: `\`${name}\`: ${badHeaderValue}` }]
  })
}
