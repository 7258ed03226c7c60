/** What went wrong, told so that it can be looked at again. */

export type FindingKind = 'forgery' | 'crash' | 'answer' | 'lost' | 'memory'

export interface Finding {
  kind: FindingKind
  /** What should not be. */
  what: string
  /** The volley's number, where it was one. */
  volley?: number
  /** The bytes that were sent. */
  request?: Buffer
  answer?: string
}

export interface Findings {
  report: (finding: Finding) => void
  all: () => readonly Finding[]
  count: (kind: FindingKind) => number
}

/** After so many the rest is only counted. */
const maxTold = 20

/** @param say takes lines for the person who looks */
export function createFindings(seed: number, say: (line: string) => void): Findings {
  const all: Finding[] = []
  return {
    report(finding) {
      all.push(finding)
      if (all.length > maxTold) return
      say(`finding (${finding.kind}): ${finding.what}`)
      if (finding.volley !== undefined) say(`  again with: npm run fuzz -- --seed ${seed} --only ${finding.volley}`)
      if (finding.request !== undefined) say(`  request: ${hexOf(finding.request)}`)
      if (finding.answer !== undefined) say(`  answer: ${finding.answer}`)
    },
    all: () => all,
    count: (kind) => all.filter((finding) => finding.kind === kind).length,
  }
}

/** In full it comes again with its volley. */
const maxToldBytes = 8_192

function hexOf(request: Buffer): string {
  const hex = request.subarray(0, maxToldBytes).toString('hex')
  return request.length > maxToldBytes ? `${hex}… (${request.length} bytes)` : hex
}
