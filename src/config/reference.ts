/** The reference of the configuration, docs/configuration.md: written from the JSON Schema, so that it says what the parser takes. */
import { at, isMap, listOf, mapsIn, textIn, type RawMap } from './raw.ts'
import { durationPattern, ratePattern, sizePattern } from './values.ts'

/** @param schema that of json-schema.ts for it */
export function configReference(schema: unknown): string {
  const sections = mapsIn(at(schema, ['properties'])).map(([key, section]) => sectionText(key, section))
  return `${[head, ...sections].join('\n\n')}\n`
}

const head = `<!-- Made from src/config/schema.ts by \`node scripts/generate.js\`: change it there. -->

# The configuration

One YAML file, \`config/relay.yaml\` unless \`--config\` or \`RELAY_CONFIG\` names another. \`gemini-relay init\` writes one to begin with, \`gemini-relay check\` says what is wrong with it and what is
probably not meant, and [examples](../config/examples) are there for real situations. An editor that knows the YAML language server completes and explains it by its first line,
\`# yaml-language-server: $schema=./relay.schema.json\`.

- **Variables**: \`\${VAR}\` must be set, \`\${VAR:-default}\` need not be (a default also stands for an empty one), \`\${file:/run/secrets/token}\` is the content of a file, less one line break at its end; a path that is not absolute begins beside
  the file that names it. \`$\${\` is a plain \`\${\`. Any value may hold one; inside \`{ }\` and \`[ ]\` it has to be quoted.
- **Values**: a duration is \`250ms\`, \`30s\`, \`5m\`, \`24h\` or \`3d\`; a size \`256kb\` or \`1mb\`, a kb being 1,024 bytes; a rate \`10/s\`, \`300/m\` or \`1000/h\`. Names of sources, sinks and rules are of letters, digits, dot, dash and underscore.
- **Languages**: patterns match ([patterns](patterns.md)), [CEL](https://cel.dev) computes values and conditions, [Liquid](https://liquidjs.com) writes texts. All see \`event\`: \`type\`, \`version\`, \`timestamp\`, \`data\`, \`subject\`, \`source\`, \`webhook_id\`,
  \`scheme\`, \`user_metadata\`, \`received_at\`, and \`resource\` where a rule [enriches](enrich.md).
- **Reload**: a running relay reads it again on SIGHUP and when its files change ([operations](operations.md#changing-the-configuration)).`

function sectionText(key: string, section: RawMap): string {
  const lines = [`## \`${key}\``, sentence(section)]
  const options = listOf(at(section, ['additionalProperties', 'oneOf'])).filter(isMap)
  if (options.length > 0) return [...lines, ...options.map((option) => sinkText(option))].filter(Boolean).join('\n\n')
  const shape = shapeOf(section)
  const found = shape === undefined ? [] : rowsOf(shape, '')
  // Of a sink that says nothing, not of what is said for all.
  const rows = key === 'defaults' ? found.map((row) => ({ ...row, fallback: '' })) : found
  return [...lines, rows.length === 0 ? `${capital(typeOf(section))}.` : tableOf(rows)].filter(Boolean).join('\n\n')
}

function sinkText(option: RawMap): string {
  const type = String(at(option, ['properties', 'type', 'const']))
  const rows = rowsOf(option, '').filter(({ key }) => key !== 'type')
  return [`### \`type: ${type}\``, sentence(option), tableOf(rows)].filter(Boolean).join('\n\n')
}

interface Row {
  key: string
  type: string
  fallback: string
  text: string
}

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(({ key, type, fallback, text }) => `| \`${key}\` | ${type} | ${fallback} | ${text} |`)
  return ['| key | value | default | |', '|---|---|---|---|', ...lines.map((line) => line.replaceAll('\n', ' '))].join('\n')
}

/** The keys of a map; those of maps in it with their path. */
function rowsOf(schema: RawMap, before: string): Row[] {
  const needed = listOf(schema['required'])
  return mapsIn(schema['properties']).flatMap(([key, property]) => {
    const path = `${before}${key}`
    const fallback = needed.includes(key) ? 'needed' : fallbackOf(property)
    const own = { key: path, type: cell(typeOf(property)), fallback, text: cell(sentence(property)) }
    const inner = shapeOf(property)
    if (inner === undefined || isRepeated(path)) return [own]
    return [...(own.text === '' ? [] : [own]), ...rowsOf(inner, pathUnder(property, path))]
  })
}

/** What `defaults` may hold is what the sinks hold; the fields of a job are those of docs/enrich.md. */
function isRepeated(path: string): boolean {
  return ['slack', 'kafka', 'table', 'http', 'log', 'resource'].includes(path)
}

/** Of a map in a list, or under names of the user's own. */
function pathUnder(property: RawMap, path: string): string {
  if (property['type'] === 'array') return `${path}[].`
  return isMap(property['additionalProperties']) ? `${path}.NAME.` : `${path}.`
}

/** The one map with keys of its own that a value may be or hold. */
function shapeOf(schema: RawMap): RawMap | undefined {
  if (isMap(schema['properties'])) return schema
  const inside = [schema['additionalProperties'], schema['items'], ...listOf(schema['anyOf'])].filter(isMap)
  return inside.map(shapeOf).find((shape) => shape !== undefined)
}

function sentence(schema: RawMap): string {
  return textIn(schema, 'description') ?? ''
}

function fallbackOf(schema: RawMap): string {
  const fallback = schema['default']
  if (fallback === undefined) return ''
  return cell(`\`${typeof fallback === 'string' ? fallback : JSON.stringify(fallback)}\``)
}

const patterned = new Map([
  [durationPattern.source, 'duration'],
  [sizePattern.source, 'size'],
  [ratePattern.source, 'rate'],
])

/** A variable, which every value may be, and the digits of a number, which one that comes from a variable is. */
const implied = new Set(['\\$\\{.+\\}', '^\\d+$', '^\\d+(\\.\\d+)?$'])

function typeOf(schema: RawMap): string {
  const alternatives = listOf(schema['anyOf'] ?? schema['oneOf']).filter(isMap)
  if (alternatives.length > 0) {
    const types = alternatives.filter((one) => !implied.has(textIn(one, 'pattern') ?? '')).map(typeOf)
    return [...new Set(types.filter((type) => type !== ''))].join(' or ')
  }
  const values = listOf(schema['enum'] ?? ('const' in schema ? [schema['const']] : undefined))
  if (values.length > 0) return values.map((value) => `\`${String(value)}\``).join(' or ')
  const pattern = textIn(schema, 'pattern') ?? ''
  if (schema['type'] === 'string') return patterned.get(pattern) ?? (schema['format'] === 'uri' ? 'URL' : 'text')
  if (schema['type'] === 'array') return `list${isMap(schema['items']) ? ofType(schema['items']) : ''}`
  if (schema['type'] === 'boolean') return '`true` or `false`'
  return schema['type'] === 'object' ? 'map' : (textIn(schema, 'type') ?? '')
}

function ofType(items: RawMap): string {
  const type = typeOf(items)
  return type === '' ? '' : ` of ${type}`
}

function capital(text: string): string {
  return text.replace(/^[a-z]/, (letter) => letter.toUpperCase())
}

/** A bar ends the cell of a table. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
