import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../setup/root.ts'

const page = readFileSync(join(root, 'docs/hostile-input.md'), 'utf8')
const rows = [...page.matchAll(/^\| (.+?) +\| .+? +\| \[[\w-]+\]\(\.\.\/([^)]+)\): (.+?) +\|$/gm)]

describe('every attack of the page on hostile input', () => {
  const named = rows.flatMap(([, attack = '', file = '', names = '']) =>
    names.split('; ').map((name) => ({ attack, file, name })),
  )

  it.each(named)('$attack: there is a test “$name”', ({ file, name }) => {
    expect(existsSync(join(root, file))).toBe(true)
    expect(readFileSync(join(root, file), 'utf8')).toContain(name)
  })

  it('is a row of a table', () => {
    expect(rows.length).toBe([...page.matchAll(/^\| (?!attack|-)/gm)].length)
    expect(rows.length).toBeGreaterThan(40)
  })
})
