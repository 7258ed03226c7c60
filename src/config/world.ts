/** Which events there can be at all, as far as is known: what Gemini documents and what the configuration names. */
import { catalogTypes, pingType } from '../gemini/catalog.ts'
import { unrecognizedType } from '../route/event.ts'
import { compilePattern } from '../route/patterns.ts'
import type { RelayEvent, Scheme } from '../types.ts'
import type { Config, Pattern, PatternNode } from './schema.ts'

export interface World {
  types: readonly string[]
  sources: readonly { name: string; schemes: readonly Scheme[] }[]
}

/** What of an event is known before there is one. */
export type KnownField = 'type' | 'source' | 'scheme'

export const schemes: readonly Scheme[] = ['hmac', 'ed25519', 'jwt', 'reconciled']

export function worldOf({ sources, gemini }: Pick<Config, 'sources' | 'gemini'>): World {
  const declared = Object.values(gemini.webhooks).flatMap(({ events = [] }) => events)
  return {
    types: [...new Set([...catalogTypes, pingType, unrecognizedType, ...declared])],
    sources: Object.entries(sources).map(([name, { static: secrets, dynamic }]) => ({
      name,
      schemes: [
        ...(secrets === undefined ? [] : (['hmac'] as const)),
        ...(dynamic === undefined ? [] : (['ed25519', 'jwt'] as const)),
        'reconciled', // by the command, whatever the configuration says
      ],
    })),
  }
}

/** A pattern less all that it says of other fields: it matches whatever the whole one matches, and more. */
export function onlyOf(pattern: Pattern, fields: readonly KnownField[]): Pattern {
  const entries = Object.entries(pattern).flatMap(([name, node]): [string, PatternNode][] => {
    if (name !== '$or') return fields.some((field) => field === name) ? [[name, node]] : []
    const either = alternativesOf(node).map((alternative) => onlyOf(alternative, fields))
    // An alternative of which nothing is left matches everything.
    return either.some((alternative) => Object.keys(alternative).length === 0) ? [] : [[name, either]]
  })
  return Object.fromEntries(entries)
}

export function alternativesOf(node: PatternNode): Pattern[] {
  return Array.isArray(node) ? node.flatMap((item) => (isPattern(item) ? [item] : [])) : []
}

/** A pattern that was read once before: what is in it are nodes. */
function isPattern(item: unknown): item is Pattern {
  return typeof item === 'object' && item !== null && !Array.isArray(item)
}

/** The types of the world that a pattern may match. */
export function typesOf(pattern: Pattern, { types }: World): string[] {
  const matches = compilePattern(onlyOf(pattern, ['type']))
  return types.filter((type) => matches(eventOf({ type })))
}

/** Whether any event of the world may match. */
export function mayMatch(pattern: Pattern, { types, sources }: World): boolean {
  const matches = compilePattern(onlyOf(pattern, ['type', 'source', 'scheme']))
  return sources.some((source) =>
    source.schemes.some((scheme) => types.some((type) => matches(eventOf({ type, source: source.name, scheme })))),
  )
}

export function eventOf(known: Partial<RelayEvent>): RelayEvent {
  return {
    type: '',
    version: 'v1',
    timestamp: '2026-01-02T03:04:05Z',
    data: {},
    subject: 'id',
    source: '',
    webhook_id: 'id',
    scheme: 'hmac',
    user_metadata: {},
    received_at: '2026-01-02T03:04:05.678Z',
    ...known,
  }
}
