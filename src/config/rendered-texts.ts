/** What a sink, or what a rule says of one, is rendered from: Liquid in texts, CEL in values. */
import type { Path } from './issues.ts'
import { isMap, textsUnder } from './raw.ts'

export interface RenderedText {
  language: 'liquid' | 'cel'
  text: string
  path: Path
}

/** Texts, blocks and headers; the topic and the key of a record, the value of what is sent, columns of a table. */
export function renderedTextsIn(map: object, path: Path): RenderedText[] {
  return Object.entries(map).flatMap(([key, value]: [string, unknown]): RenderedText[] => {
    const here = [...path, key]
    if (key === 'text' || key === 'blocks') return textsUnder(value, here).map((found) => ({ language: 'liquid', ...found }))
    if (key === 'headers') return membersOf(value, 'text', here).map((found) => ({ language: 'liquid', ...found }))
    if (key === 'columns') return membersOf(value, 'value', here).map((found) => ({ language: 'cel', ...found }))
    // A topic that is a text is a name, and a table's key is a list of columns.
    const isValue = key === 'value' || (key === 'topic' && isMap(value)) || (key === 'key' && typeof value === 'string')
    return isValue ? textsUnder(value, here).map((found) => ({ language: 'cel', ...found })) : []
  })
}

/** Each is a text, or a map that holds one under `inner`; one that says a type was written as a map. */
function membersOf(value: unknown, inner: string, path: Path): { text: string; path: Path }[] {
  return Object.entries(isMap(value) ? value : {}).flatMap(([name, said]) => {
    const isWritten = isMap(said) && said['type'] !== undefined
    return textsUnder(isMap(said) ? said[inner] : said, [...path, name, ...(isWritten ? [inner] : [])])
  })
}
