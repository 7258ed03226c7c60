// Asks the registry for known advisories about what production installs: exits 0 when there is none that is not explained below,
// 1 when there is, and 2 when the registry does not answer the question (a mirror need not) or cannot be reached.
import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Advisories that do not reach us, by id, with the reason; docs/dependencies.md says how an entry gets here. */
const explained = new Map([])

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const asked = spawnSync('npm', ['audit', '--json', '--omit=dev', '--package-lock-only'], {
  cwd: root,
  encoding: 'utf8',
  timeout: 60_000,
  maxBuffer: 64 * 1_048_576,
})
const report = parsed(asked.stdout)

if (report?.vulnerabilities === undefined) {
  console.error(`not audited: ${report?.message ?? (asked.stderr || String(asked.error ?? 'no answer')).trim()}`)
  process.exitCode = 2
} else {
  const found = advisoriesOf(report.vulnerabilities)
  const open = found.filter(({ id }) => !explained.has(id))
  for (const { id, name, severity, title } of found) {
    console.log(`${id} ${name} (${severity}): ${title}${explained.has(id) ? `; explained: ${explained.get(id)}` : ''}`)
  }
  for (const id of explained.keys()) {
    if (!found.some((advisory) => advisory.id === id)) console.log(`${id} is explained in scripts/audit.js and found no more`)
  }
  console.log(`${found.length} advisories about production dependencies, ${open.length} not explained`)
  if (open.length > 0) process.exitCode = 1
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Of each package that is named only for a dependency of its own, `via` holds a name instead of an advisory. */
function advisoriesOf(vulnerabilities) {
  const advisories = Object.values(vulnerabilities)
    .flatMap(({ via }) => via)
    .filter((cause) => typeof cause === 'object')
    .map(({ url, name, severity, title }) => ({ id: url.split('/').at(-1), name, severity, title }))
  return [...new Map(advisories.map((advisory) => [`${advisory.id} ${advisory.name}`, advisory])).values()]
}
