/** Small changes to texts and bytes. What comes back always differs. */
import type { Random } from './random.ts'

const visible = Array.from({ length: 94 }, (_, n) => String.fromCharCode(0x21 + n)).join('')

/** What may stand in a header's value without ending the request: see framing.ts for the rest. */
export const headerCharacters = `${visible} \t${Array.from({ length: 128 }, (_, n) => String.fromCharCode(0x80 + n)).join('')}`

/** As a header's value reads on the other side: HTTP takes no notice of white space around it. */
export function trimmed(value: string): string {
  return value.replaceAll(/^[ \t]+|[ \t]+$/g, '')
}

/** A value that reads differently. */
export function mutateText(random: Random, text: string, alphabet = headerCharacters): string {
  for (;;) {
    const changed = changeText(random, text, () => alphabet[random.below(alphabet.length)] ?? 'x')
    if (trimmed(changed) !== text) return changed
  }
}

function changeText(random: Random, text: string, character: () => string): string {
  const at = random.below(text.length + 1)
  const until = Math.min(text.length, at + random.between(1, 4))
  switch (random.below(7)) {
    case 0:
      return text.slice(0, at) + character() + text.slice(at)
    case 1:
      return text.slice(0, at) + text.slice(until)
    case 2:
      return text.slice(0, at)
    case 3:
      return text + text.slice(at, until)
    case 4:
      return text.slice(0, at) + swapCase(text.slice(at, until)) + text.slice(until)
    default:
      return text.slice(0, at) + character() + text.slice(at + 1)
  }
}

function swapCase(text: string): string {
  return text === text.toLowerCase() ? text.toUpperCase() : text.toLowerCase()
}

export function mutateBytes(random: Random, bytes: Buffer): Buffer {
  for (;;) {
    const changed = changeBytes(random, bytes)
    if (!changed.equals(bytes)) return changed
  }
}

function changeBytes(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1)
  const until = Math.min(bytes.length, at + random.between(1, 8))
  const [before, middle, after] = [bytes.subarray(0, at), bytes.subarray(at, until), bytes.subarray(until)]
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([before, random.bytes(random.between(1, 8)), bytes.subarray(at)])
    case 1:
      return Buffer.concat([before, after])
    case 2:
      return before
    case 3:
      return Buffer.concat([before, middle, middle, after])
    case 4:
      return Buffer.concat([before, middle.map((byte) => byte ^ (1 << random.below(8))), after])
    default:
      return Buffer.concat([before, random.bytes(middle.length), after])
  }
}
