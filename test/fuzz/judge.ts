/** Holds what came back against what the generator knows. */
import { refusalStatus } from '../../src/errors.ts'
import type { Answer } from './answers.ts'
import type { Outcome } from './connection.ts'
import type { Findings } from './findings.ts'
import type { Ledger } from './ledger.ts'
import type { Shot, Volley } from './volley.ts'

export interface Judge {
  judge: (volley: Volley, outcome: Outcome) => void
  /** How often a request of each kind was sent, and each answer came. */
  kinds: () => Record<string, number>
  answers: () => Record<string, number>
  /** Requests that were answered 200. */
  accepted: () => number
}

const statuses: ReadonlyMap<string, number> = new Map(Object.entries(refusalStatus))

export function createJudge(findings: Findings, ledger: Ledger): Judge {
  const kinds = new Map<string, number>()
  const counted = new Map<string, number>()
  let accepted = 0

  function judgeAnswer(volley: Volley, shot: Shot, answer: Answer): void {
    const report = (kind: 'forgery' | 'crash' | 'answer', what: string) =>
      findings.report({
        kind,
        what: `${what} (${shot.kind})`,
        volley: volley.number,
        request: shot.bytes,
        answer: textOf(answer),
      })
    const reading = readAnswer(answer, shot.method)
    increment(counted, `${answer.status} ${reading.name}`)
    if (reading.wrong !== undefined) return report(answer.status >= 500 ? 'crash' : 'answer', reading.wrong)
    if (answer.status === 200) {
      accepted += 1
      if (shot.event === undefined) return report('forgery', 'accepted, though nobody signed it')
      return ledger.acknowledge(shot.event)
    }
    if (shot.expected === 'taken') report('answer', 'refused, though it is signed and framed as it should be')
  }

  return {
    judge(volley, { answers, ended, garbage }) {
      const { shots } = volley
      const last = shots.at(-1)
      const isBroken = last?.expected === 'broken'
      for (const { kind } of shots) increment(kinds, kind)
      for (const [n, answer] of answers.entries()) {
        // What comes after the answer to a broken request belongs to what was read out of its rest.
        const shot = shots[n] ?? (isBroken ? last : undefined)
        if (shot !== undefined) judgeAnswer(volley, shot, answer)
      }
      const statusLine = answers.map(textOf).join(', ')
      const report = (what: string) =>
        findings.report({
          kind: 'answer',
          what: `${what} (${shots.map(({ kind }) => kind).join(', ')})`,
          volley: volley.number,
          request: Buffer.concat(shots.map(({ bytes }) => bytes)),
          answer: statusLine,
        })
      if (garbage !== undefined) report(`what came is no answer: ${JSON.stringify(garbage)}`)
      else if (ended === 'late') report('no answer, and the connection is still open')
      else if (answers.length < shots.length - (isBroken ? 1 : 0))
        report('the connection ended before every request was answered')
      else if (answers.length > shots.length && !isBroken) report('more answers than requests')
    },
    kinds: () => sorted(kinds),
    answers: () => sorted(counted),
    accepted: () => accepted,
  }
}

/** @returns a name to count it by, and what is wrong with it by itself, whatever the request was */
function readAnswer({ status, body }: Answer, method: string): { name: string; wrong?: string } {
  if (method === 'HEAD')
    return status === 405 ? { name: 'to a HEAD' } : { name: 'to a HEAD', wrong: 'a strange answer to a HEAD' }
  if (status === 431) return body === '' ? { name: 'without a body' } : { name: 'with a body', wrong: 'a 431 with a body' }
  const json = parse(body)
  if (status === 200) {
    const isKnown = body === '{"status":"received"}' || body === '{"status":"duplicate"}'
    return isKnown && json !== undefined ? { name: String(json['status']) } : { name: 'unknown', wrong: 'a strange 200' }
  }
  const code = json?.['code']
  if (json === undefined || typeof code !== 'string' || typeof json['error'] !== 'string' || Object.keys(json).length !== 2) {
    return { name: 'unknown', wrong: 'the answer is not {error, code}' }
  }
  if (statuses.get(code) !== status) return { name: code, wrong: `${code} is no answer, or not with status ${status}` }
  if (code === 'internal') return { name: code, wrong: 'an error that nobody expected' }
  return { name: code }
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(body)
    return typeof json === 'object' && json !== null ? { ...json } : undefined
  } catch {
    return undefined
  }
}

function textOf({ status, body }: Answer): string {
  return `${status} ${body}`
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
