import { isUtf8 } from 'node:buffer'

/**
 * The value of a JSON text, or undefined when the bytes are none. Invalid UTF-8 and a byte order mark are not JSON (RFC 8259).
 * `__proto__` becomes an ordinary own member: nothing here merges objects.
 */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0 || !isUtf8(bytes)) return undefined
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
