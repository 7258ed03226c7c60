/** Request bodies: bounded JSON objects, whose fields may be spelled `snake_case` or `camelCase`. */
import type { IncomingMessage } from 'node:http'
import type { z } from 'zod'
import { ApiError } from '../api-error.ts'

export type Fields = Record<string, unknown>

/** A batch with its requests in the call may be 20 MB at Gemini; nobody develops with that. */
const maxBytes = 4 * 1_048_576

/** @returns `{}` where there is no body */
export async function readFields(request: IncomingMessage): Promise<Fields> {
  const text = await readText(request)
  if (text.trim() === '') return {}
  const body = parseJson(text)
  if (!isRecord(body)) throw new ApiError('INVALID_ARGUMENT', 'Invalid JSON payload received. Root element must be a message.')
  return body
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue
    bytes += chunk.length
    // Read to its end, so that the answer is heard.
    if (bytes <= maxBytes) chunks.push(chunk)
  }
  if (bytes > maxBytes) throw new ApiError('INVALID_ARGUMENT', `Request payload size exceeds the limit: ${maxBytes} bytes.`)
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ApiError('INVALID_ARGUMENT', 'Invalid JSON payload received. It is not JSON.')
  }
}

export function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Of the fields themselves; what is inside them keeps its names, for it may be the user's own. */
export function snakeCased(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [snake(name), value]))
}

export function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** @throws ApiError INVALID_ARGUMENT that names each field */
export function parseFields<S extends z.ZodType>(schema: S, fields: Fields): z.output<S> {
  const { data, error } = schema.safeParse(snakeCased(fields))
  if (error === undefined) return data
  const complaints = error.issues.flatMap(({ path, message, ...issue }) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `Unknown name ${JSON.stringify(key)}: Cannot find field.`)
      : [`Invalid value at '${path.join('.')}': ${message}.`],
  )
  throw new ApiError('INVALID_ARGUMENT', complaints.join(' '))
}
