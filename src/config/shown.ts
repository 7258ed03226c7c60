/** What a delivery shows, by the type of its sink, as cases compare it (sinks/preview.ts): as much of it as is known before there is one. */
import { eventFields } from '../route/fields.ts'
import { isMap, textIn, type RawMap } from './raw.ts'

/** Names, each with those inside it; undefined: whatever comes. */
export interface Shown {
  [name: string]: Shown | undefined
}

/**
 * @param target what the rule says of the sink
 * @returns undefined for a sink of no type that there is
 */
export function shownBy(sink: RawMap, target: RawMap): Shown | undefined {
  const value = within(target['value'] ?? sink['value'])
  switch (textIn(sink, 'type') ?? '') {
    case 'slack':
      return named(['channel', 'text', 'blocks', 'thread', 'update'])
    case 'kafka':
      return { ...named(['topic', 'key']), headers: named(recordHeaders(textIn(sink, 'format'))), value }
    case 'table':
      return { table: undefined, row: isMap(sink['columns']) ? named(Object.keys(sink['columns'])) : undefined }
    case 'http':
      return { url: undefined, headers: named(requestHeaders(sink['headers'], target['headers'])), body: value }
    case 'log': {
      const about = named(['webhook_id', 'source', 'type', 'subject', 'rule', 'sink', 'delivery', 'replay'])
      const isShaped = 'value' in target || 'value' in sink
      return { line: { ...about, ...(isShaped ? { value } : { event: named(eventFields) }) } }
    }
    default:
      return undefined
  }
}

/** Of a map of expressions; what an expression makes is anybody's guess. */
function within(value: unknown): Shown | undefined {
  if (!isMap(value)) return undefined
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, within(child)]))
}

function recordHeaders(format: string | undefined): string[] {
  const ours = ['webhook-id', 'webhook-source', 'content-type']
  if (format !== 'cloudevents') return ours
  return [...ours, ...['specversion', 'id', 'type', 'source', 'time', 'subject'].map((attribute) => `ce_${attribute}`)]
}

/** In lower case; null takes one away. */
function requestHeaders(ofSink: unknown, ofRule: unknown): string[] {
  const said = new Map([ofSink, ofRule].flatMap((headers) => (isMap(headers) ? Object.entries(headers) : [])).map(lowered))
  const usual = ['content-type', 'user-agent', 'webhook-id', 'relay-source', 'relay-rule', 'relay-delivery']
  return [...usual, ...[...said].flatMap(([name, text]) => (text === null ? [] : [name]))]
}

function lowered([name, text]: [string, unknown]): [string, unknown] {
  return [name.toLowerCase(), text]
}

function named(names: readonly string[]): Shown {
  return Object.fromEntries(names.map((name) => [name, undefined]))
}
