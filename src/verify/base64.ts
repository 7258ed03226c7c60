/**
 * Decodes base64 as it is canonically spelled (standard alphabet, padded, no stray bits), or answers undefined. Node by
 * itself skips what it does not know and decodes `!!!!` to nothing.
 */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
