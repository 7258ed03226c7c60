import { readFileSync } from 'node:fs'

/** The package's own version, read from its package.json (one folder above `src` and `dist` alike). */
export const version = readVersion()

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest && typeof manifest.version === 'string')
    return manifest.version
  throw new Error('package.json has no version')
}
