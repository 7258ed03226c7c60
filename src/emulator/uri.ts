/** Where the emulator sends to: https, or plain http on this machine. */

/** Of `localhost`, 127.0.0.0/8 and ::1. */
const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** What Gemini might do with a longer one is not documented. */
const maxLength = 2_048

/** @returns what is wrong with it, for the one who sent it */
export function complaintAboutUri(uri: string): string | undefined {
  if (uri.length > maxLength) return `is longer than ${maxLength} characters`
  if (!URL.canParse(uri)) return 'is not a URI'
  const { protocol, hostname, username, password } = new URL(uri)
  if (username !== '' || password !== '') return 'must not hold a user name or a password'
  if (protocol === 'https:') return undefined
  if (protocol === 'http:' && loopback.test(hostname)) return undefined
  return 'must be https, or http to this machine'
}
