/** Reads answers off a connection, with no more of HTTP than the relay speaks. */

export interface Answer {
  status: number
  /** As received, without the head. */
  body: string
}

export interface AnswerReader {
  /** The answers that are whole by now. @throws Error for what is no answer */
  push: (chunk: Buffer) => Answer[]
  /** Bytes of an answer that is not whole. */
  rest: () => string
}

/** @param methodOf of the nth request: the answer to a HEAD has a length and no body */
export function createAnswerReader(methodOf: (n: number) => string | undefined): AnswerReader {
  let received = ''
  let count = 0

  function next(): Answer | undefined {
    const end = received.indexOf('\r\n\r\n')
    if (end === -1) return undefined
    const head = received.slice(0, end + 2)
    const status = Number(/^HTTP\/1\.1 (\d{3}) [ -~]*\r\n/.exec(head)?.[1])
    if (Number.isNaN(status)) throw new Error('this is no answer')
    if (status === 100) {
      received = received.slice(end + 4)
      return next()
    }
    const length = methodOf(count) === 'HEAD' ? 0 : lengthOf(head, status)
    if (received.length < end + 4 + length) return undefined
    const body = received.slice(end + 4, end + 4 + length)
    received = received.slice(end + 4 + length)
    count += 1
    return { status, body }
  }

  return {
    push(chunk) {
      received += chunk.toString('latin1')
      const answers: Answer[] = []
      for (let answer = next(); answer !== undefined; answer = next()) answers.push(answer)
      return answers
    },
    rest: () => received,
  }
}

function lengthOf(head: string, status: number): number {
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]
  if (length !== undefined) return Number(length)
  if (status === 431) return 0 // Node's own
  throw new Error('the answer has no length')
}
