/** Patterns as editors know them. */
import { eventFields } from '../route/fields.ts'

const text = { type: 'string', minLength: 1 }
const textIgnoringCase = { anyOf: [text, only('equals-ignore-case', 'The same, in any case.', text)] }
const value = { anyOf: [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }, { type: 'null' }] }
const sign = { enum: ['=', '<', '<=', '>', '>='] }

/** One map, one operator. */
const operator = {
  anyOf: [
    only('prefix', 'Texts that begin so.', textIgnoringCase),
    only('suffix', 'Texts that end so.', textIgnoringCase),
    only('equals-ignore-case', 'This text, in any case.', { type: 'string' }),
    only('wildcard', 'Texts of this form; * stands for any characters, \\* for a star.', { type: 'string' }),
    only('anything-but', 'Values other than these.', {
      anyOf: [
        ...oneOrMore(value),
        ...['prefix', 'suffix', 'equals-ignore-case', 'wildcard'].map((name) =>
          only(name, 'Texts that are not so.', { anyOf: oneOrMore({ type: 'string' }) }),
        ),
      ],
    }),
    only('numeric', 'Numbers: one comparison, or a lower and an upper bound.', {
      type: 'array',
      items: { anyOf: [sign, { type: 'number' }] },
      minItems: 2,
      maxItems: 4,
    }),
    only('exists', 'true: whatever is there, null too; false: nothing.', { type: 'boolean' }),
    only('cidr', 'IP addresses of this block.', { type: 'string' }),
  ],
}

/** What hold fields of the sender's making; the others are text. */
const nested = new Set(['data', 'user_metadata'])

/** By name, as they are made of each other. */
export const patternDefinitions = {
  pattern: {
    type: 'object',
    properties: {
      ...Object.fromEntries(
        eventFields.map((name) => [
          name,
          nested.has(name) ? ref('fields') : { anyOf: [{ type: ['string', 'null'] }, ref('alternatives')] },
        ]),
      ),
      $or: alternativesOf('pattern'),
    },
    additionalProperties: false,
  },
  fields: {
    type: 'object',
    properties: { $or: alternativesOf('fields') },
    additionalProperties: { anyOf: [value, ref('alternatives'), ref('fields')] },
  },
  alternatives: { type: 'array', items: { anyOf: [value, operator] }, minItems: 1 },
}

export const patternJsonSchema = ref('pattern')

function ref(name: string): object {
  return { $ref: `#/definitions/${name}` }
}

function alternativesOf(name: string): object {
  return { description: 'One of these patterns, and all that is beside it.', type: 'array', items: ref(name), minItems: 2 }
}

function only(name: string, description: string, schema: object): object {
  return { type: 'object', description, properties: { [name]: schema }, required: [name], additionalProperties: false }
}

function oneOrMore(schema: object): object[] {
  return [schema, { type: 'array', items: schema, minItems: 1 }]
}
