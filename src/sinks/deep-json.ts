/** JSON of values nested deeper than the stack allows: `JSON.parse` reads them, `JSON.stringify` throws on them. */

interface Open {
  close: ']' | '}'
  /** What is still to be written, the next one last: `[key, value]`, or `[undefined, value]` in a list. */
  rest: [key: string | undefined, value: unknown][]
  first: boolean
}

/** `JSON.stringify(value)` for values that came from JSON, at any depth. */
export function stringifyJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null'
  } catch (error) {
    if (error instanceof RangeError) return stringifyDeep(value)
    throw error
  }
}

function stringifyDeep(root: unknown): string {
  const parts: string[] = []
  const stack: Open[] = []
  const write = (value: unknown) => {
    if (typeof value !== 'object' || value === null) {
      parts.push(JSON.stringify(value) ?? 'null')
    } else if (Array.isArray(value)) {
      parts.push('[')
      stack.push({ close: ']', rest: value.map((item): [undefined, unknown] => [undefined, item]).toReversed(), first: true })
    } else {
      parts.push('{')
      const entries = Object.entries(value).filter(([, item]) => item !== undefined)
      stack.push({ close: '}', rest: entries.toReversed(), first: true })
    }
  }
  write(root)
  for (let open = stack.at(-1); open !== undefined; open = stack.at(-1)) {
    const next = open.rest.pop()
    if (next === undefined) {
      parts.push(open.close)
      stack.pop()
      continue
    }
    const [key, value] = next
    if (!open.first) parts.push(',')
    open.first = false
    if (key !== undefined) parts.push(JSON.stringify(key), ':')
    write(value)
  }
  return parts.join('')
}
