// Writes what is generated from the code: config/relay.schema.json and docs/configuration.md, from the configuration's own types.
// With --check it writes nothing and fails when a file is not what the code says.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { format, resolveConfig } from 'prettier'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const compiled = compile()
const { configJsonSchema } = await import(pathToFileURL(join(compiled, 'config/json-schema.js')).href)
const { configReference } = await import(pathToFileURL(join(compiled, 'config/reference.js')).href)

await generate('config/relay.schema.json', JSON.stringify(configJsonSchema('editor')))
await generate('docs/configuration.md', configReference(configJsonSchema('reference')))

async function generate(name, text) {
  const file = join(root, name)
  const wanted = await format(text, { ...(await resolveConfig(file)), filepath: file })
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) return
  if (process.argv.includes('--check')) {
    console.error(`${name} is not what src/config says: run \`node scripts/generate.js\` and commit the result`)
    process.exitCode = 1
  } else {
    writeFileSync(file, wanted)
    console.log(`wrote ${name}`)
  }
}

// Node 20 runs no TypeScript, and dist may be missing or older than src.
function compile() {
  const out = join(root, 'node_modules/.cache/generate')
  rmSync(out, { recursive: true, force: true })
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', out], {
    cwd: root,
    encoding: 'utf8',
  })
  // A type error elsewhere is for `tsc --noEmit` to report: only what is needed here must have come out.
  if (!existsSync(join(out, 'config/json-schema.js'))) throw new Error(`tsc made nothing of src:\n${stdout}`)
  return out
}
