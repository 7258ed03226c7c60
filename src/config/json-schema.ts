/** The JSON Schema that editors complete and check a configuration with: the parser's own schema, adapted to what is written. */
import { z } from 'zod'
import { isMap, type RawMap } from './raw.ts'
import { patternDefinitions, patternJsonSchema } from './pattern-json-schema.ts'
import { configSchema, patternSchema } from './schema.ts'
import { sinkSchema } from './sink-schema.ts'
import { durationPattern, ratePattern, sizePattern, writtenDuration, writtenRate, writtenSize } from './values.ts'

/** To an editor nothing is missing in a file: sources may be in another one, and a sink's settings under `defaults`. */
export type Reader = 'editor' | 'reference'

export function configJsonSchema(reader: Reader): unknown {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    target: 'draft-7',
    override({ zodSchema, jsonSchema }) {
      if (zodSchema instanceof z.ZodDefault) jsonSchema.default = writtenDefault(zodSchema.def.defaultValue, jsonSchema.pattern)
      if (reader === 'editor' && zodSchema === configSchema) Reflect.deleteProperty(jsonSchema, 'required')
      if (reader === 'editor' && sinkSchema.options.some((option) => option === zodSchema)) jsonSchema.required = ['type']
      if (reader === 'reference' || !Object.is(zodSchema, patternSchema)) return
      for (const key of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, key)
      Object.assign(jsonSchema, patternJsonSchema)
    },
  })
  return asWritten({
    title: 'gemini-relay configuration',
    ...schema,
    ...(reader === 'editor' ? { definitions: patternDefinitions } : {}),
  })
}

/** Rewrites a schema so that it describes the text in the file, where any value may come from a variable. */
function asWritten(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(asWritten)
  if (!isMap(schema)) return schema
  const { propertyNames, default: fallback, description, ...rest } = schema
  const inner = Object.fromEntries(Object.entries(rest).map(([key, child]) => [key, asWritten(child)]))
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined || isEmptyMap(fallback) ? {} : { default: fallback }),
    ...(propertyNames === undefined ? {} : { propertyNames }),
    ...(isRestrictedText(rest) ? { anyOf: [inner, { type: 'string', pattern: '\\$\\{.+\\}' }] } : inner),
  }
}

/** As a file would say it: the parser's own are milliseconds and bytes. */
function writtenDefault(value: unknown, pattern: string | undefined): z.core.util.JSONType {
  if (typeof value === 'number' && pattern === durationPattern.source) return writtenDuration(value)
  if (typeof value === 'number' && pattern === sizePattern.source) return writtenSize(value)
  if (pattern === ratePattern.source) return writtenRate(rateShape.parse(value))
  return z.json().parse(value)
}

const rateShape = z.object({ count: z.number(), perMs: z.number() })

function isRestrictedText(schema: RawMap): boolean {
  return schema['type'] === 'string' && ['pattern', 'format', 'enum'].some((key) => key in schema)
}

function isEmptyMap(value: unknown): boolean {
  return isMap(value) && Object.keys(value).length === 0
}
