/** Takes a sink's own secrets out of what its far end says, before any of it is cut, kept or logged. */

/** Shorter parts of a URL say where, not who; and a word that is taken out everywhere leaves messages that say nothing. */
const leastPart = 8

/**
 * The far end knows these secrets, since it was sent them: an error page repeats the address, a debugging one the headers.
 *
 * @param secrets an empty one is none
 */
export function createConceal(secrets: readonly string[]): (text: string) => string {
  // The longest first: one may be part of another.
  const hidden = [...new Set(secrets)].filter((secret) => secret !== '').toSorted((one, other) => other.length - one.length)
  return (text) => hidden.reduce((shown, secret) => shown.replaceAll(secret, '[hidden]'), text)
}

/**
 * What of a URL is not for everybody: its password, its user where that is a token, and its path and query, which may hold one;
 * as they are written, decoded, and as they travel.
 */
export function secretsOfUrl({ username, password, pathname, search }: URL): string[] {
  const basic = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')
  const page = pathname + search
  const values = search
    .slice(1)
    .split('&')
    .map((pair) => pair.slice(pair.indexOf('=') + 1))
  const parts = [username, ...pathname.split('/'), ...values].filter(({ length }) => length >= leastPart)
  const whole = [password, ...(page === '/' ? [] : [page])]
  return [...(username + password === '' ? [] : [basic]), ...[...whole, ...parts].flatMap((part) => [part, decoded(part)])]
}

/** As it is where it is not percent-encoded well. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
