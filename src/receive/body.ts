/** Reads a request's raw bytes, counted while they come in: Content-Length is a claim, and chunked bodies make none. */
import type { IncomingMessage } from 'node:http'
import { Refusal } from '../errors.ts'

/** A body over the limit is read on, and thrown away, up to this many bytes, so that its sender hears the answer. */
const discardBytes = 4 * 1_048_576

/** @throws Refusal `body_too_large` */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const tooLarge = () => new Refusal('body_too_large', `the body is over the limit of ${limitBytes} bytes`)
    if (Number(request.headers['content-length']) > limitBytes + discardBytes) return reject(tooLarge())
    // Events, not `for await`: measured a fifth faster per request.
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= limitBytes) chunks.push(chunk)
      else if (bytes > limitBytes + discardBytes) {
        request.pause()
        reject(tooLarge())
      }
    })
    request.on('end', () => {
      const [first] = chunks
      if (bytes > limitBytes) reject(tooLarge())
      else resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, bytes))
    })
    request.on('error', reject)
    request.on('close', () => {
      if (!request.complete) reject(new Error('the sender closed the connection before the body ended'))
    })
  })
}
