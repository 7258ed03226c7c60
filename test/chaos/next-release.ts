/** The next release as a rolling upgrade meets it: this build with a newer version and one more migration. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from '../setup/root.ts'

/** Expand first: what a release adds must not be in the way of the one before. */
const migration = (minBinary: string) => `-- min_binary: ${minBinary}
alter table events add column next_release text;
alter table delivery_groups add column next_release text;
alter table delivery_rows add column next_release text;
alter table leases add column next_release text;
create table next_release (id bigint primary key);
`

/**
 * Inside the checkout, where its modules are found.
 *
 * @param binary this release's `main.js`
 * @returns the next one's
 */
export function buildNextRelease(binary: string): string {
  const home = join(root, '.cache/chaos/next', String(process.pid))
  const manifest: unknown = JSON.parse(readFileSync(join(dirname(binary), '../package.json'), 'utf8'))
  if (typeof manifest !== 'object' || manifest === null || !('version' in manifest) || typeof manifest.version !== 'string')
    throw new Error('package.json has no version')
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true })
  cpSync(dirname(binary), join(home, 'dist'), { recursive: true })
  const next = manifest.version.replace(/^\d+/, (major) => String(Number(major) + 1))
  writeFileSync(join(home, 'package.json'), JSON.stringify({ ...manifest, version: next }))
  writeFileSync(join(home, 'dist/store/migrations/9999_next_release.sql'), migration(manifest.version))
  return join(home, 'dist/main.js')
}

export function removeNextRelease(): void {
  rmSync(join(root, '.cache/chaos/next', String(process.pid)), { recursive: true, force: true })
}
