// Prints what production installs as a CycloneDX bill of materials, from package-lock.json alone: the same lockfile gives the same
// bytes. `npm sbom --omit dev` (npm 11.19) leaves out what a development dependency needs as well: pg-protocol and ten others.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
const { '': ours, ...installed } = packages

// One version of a package is one component, also where it is installed twice; what it then needs is what either needs.
const components = new Map()
const needs = new Map([[refOf('', ours), needsOf('', ours)]])
for (const [path, entry] of Object.entries(installed).filter(([, { dev }]) => dev !== true)) {
  const ref = refOf(path, entry)
  components.set(ref, componentOf(path, entry))
  needs.set(ref, [...(needs.get(ref) ?? []), ...needsOf(path, entry)])
}

const bom = {
  $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  version: 1,
  metadata: { component: { type: 'application', ...identityOf('', ours) } },
  components: [...components.values()],
  dependencies: [...needs].map(([ref, dependsOn]) => ({ ref, dependsOn: [...new Set(dependsOn)].toSorted() })),
}
process.stdout.write(`${JSON.stringify(bom, null, 2)}\n`)

function componentOf(path, entry) {
  const [algorithm, digest] = entry.integrity.split('-')
  const hash = { alg: algorithm.replace('sha', 'SHA-'), content: Buffer.from(digest, 'base64').toString('hex') }
  return { type: 'library', ...identityOf(path, entry), scope: entry.optional ? 'optional' : 'required', hashes: [hash] }
}

function identityOf(path, entry) {
  const ref = refOf(path, entry)
  const licenses = entry.license === undefined ? {} : { licenses: [licenseOf(entry.license)] }
  return { 'bom-ref': ref, name: nameOf(path, entry), version: entry.version, ...licenses, purl: ref }
}

/** An SPDX id, or several with a word between them. */
function licenseOf(license) {
  return license.includes(' ') ? { expression: license } : { license: { id: license } }
}

/** A package's URL, which tells it from every other: it serves as its reference too. */
function refOf(path, entry) {
  return `pkg:npm/${nameOf(path, entry).replace('@', '%40')}@${entry.version}`
}

function nameOf(path, { name }) {
  return name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
}

/** What it asks for and gets; an optional or a peer dependency may be missing. */
function needsOf(path, { dependencies, optionalDependencies, peerDependencies }) {
  return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })
    .map((name) => placeOf(name, path))
    .filter((place) => place !== undefined && installed[place].dev !== true)
    .map((place) => refOf(place, installed[place]))
}

/** As Node looks for it: in the package's own node_modules, then in those above. */
function placeOf(name, from) {
  const place = `${from === '' ? '' : `${from}/`}node_modules/${name}`
  if (Object.hasOwn(installed, place)) return place
  return from === '' ? undefined : placeOf(name, from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))))
}
