/**
 * Slack's limits on texts, in characters. A message with one text too long is refused whole, and a cut one says more than
 * none, so rendered texts are cut. From the reference pages of chat.postMessage and of Block Kit.
 */

/** `text` of a message; beyond it Slack cuts in the middle of whatever stands there. */
const maxText = 40_000

/** `text` of an edit: where a message would be posted, chat.update answers `msg_too_long`. */
export const maxEditedText = 4_000

/** By the block (or text object's place in it) that holds the string. */
const maxBlockText: Readonly<Record<string, number>> = {
  'header.text': 150,
  'section.text': 3_000,
  'section.fields': 2_000,
  'context.elements': 3_000,
  'markdown.text': 12_000,
  'image.alt_text': 2_000,
  'image.title': 2_000,
}

/** Half a surrogate pair becomes U+FFFD: the client's form encoding throws on it. */
export function fitText(text: string, max = maxText): string {
  return cut(Buffer.from(text).toString(), max)
}

/** Cuts the texts of top-level blocks. What has no known limit, and what is no block, passes as it is. */
export function fitBlocks(blocks: readonly unknown[]): unknown[] {
  return blocks.map((block) => {
    if (!isRecord(block) || typeof block.type !== 'string') return block
    const { type } = block
    return mapValues(block, (value, field) => {
      const max = maxBlockText[`${type}.${field}`]
      return max === undefined ? value : fitValue(value, max)
    })
  })
}

/** A string, a text object, or a list of text objects. */
function fitValue(value: unknown, max: number): unknown {
  if (typeof value === 'string') return cut(value, max)
  if (Array.isArray(value)) return value.map((item) => fitValue(item, max))
  if (!isRecord(value) || typeof value.text !== 'string') return value
  return { ...value, text: cut(value.text, max) }
}

function cut(text: string, max: number): string {
  if (text.length <= max) return text
  // Neither half a character nor half an entity (&amp; &lt; &gt;) may stay behind.
  const kept = text.slice(0, max - 1).replace(/[\uD800-\uDBFF]$/, '')
  return `${kept.replace(/&[a-z]{0,3}$/, '')}…`
}

function mapValues(record: Record<string, unknown>, map: (value: unknown, key: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
