/** A request before it is bytes. */
export interface Draft {
  method: string
  target: string
  headers: (readonly [name: string, value: string])[]
  body: Buffer
  /** Sizes of the first chunks, the rest goes into a last one; without it the body has a Content-Length. */
  chunks?: readonly number[]
}

/** Header values are latin1: a byte each. */
export function bytesOf({ method, target, headers, body, chunks }: Draft): Buffer {
  const framing = chunks === undefined ? `content-length: ${body.length}` : 'transfer-encoding: chunked'
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const head = Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: relay\r\n${lines}${framing}\r\n\r\n`, 'latin1')
  return Buffer.concat([head, ...(chunks === undefined ? [body] : chunked(body, chunks))])
}

function chunked(body: Buffer, sizes: readonly number[]): Buffer[] {
  const parts: Buffer[] = []
  let at = 0
  for (const size of [...sizes, body.length]) {
    const chunk = body.subarray(at, at + size)
    at += chunk.length
    if (chunk.length > 0) parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'))
  }
  return [...parts, Buffer.from('0\r\n\r\n')]
}
