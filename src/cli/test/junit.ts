/** Results as JUnit's XML, which CI systems read. A configuration is a suite. */
import { textOf, problemLines } from './text.ts'
import type { Result } from './results.ts'

export function junitOf(results: readonly Result[]): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="gemini-relay">\n${results.map(suiteOf).join('')}</testsuites>\n`
}

function suiteOf(result: Result): string {
  const { config } = result
  if ('refused' in result) {
    const lines = textOf(result).split('\n').slice(1)
    const error = element('error', { message: 'not valid' }, escaped(lines.join('\n')))
    return suite(config, { tests: 1, failures: 0, errors: 1 }, element('testcase', { classname: config, name: 'loads' }, error))
  }
  const cases = result.cases.map(({ name, file, line, problems }) => {
    const text = problems.flatMap(problemLines).join('\n')
    const [message = ''] = text.split('\n')
    const failure = problems.length === 0 ? '' : element('failure', { message }, escaped(text))
    return element('testcase', { classname: config, name, file, line }, failure)
  })
  const failures = result.cases.filter(({ problems }) => problems.length > 0).length
  return suite(config, { tests: cases.length, failures, errors: 0 }, cases.join(''))
}

function suite(name: string, counts: { tests: number; failures: number; errors: number }, content: string): string {
  return element('testsuite', { name, ...counts }, `\n${content}`)
}

function element(name: string, attributes: Record<string, string | number>, content: string): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(String(value))}"`)
  return `<${name}${written.join('')}>${content}</${name}>\n`
}

const entities = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
])

/** XML 1.0 has no place for control characters but tab and line breaks, nor for half of a surrogate pair. */
function escaped(text: string): string {
  return text
    .replaceAll(/[^\P{Cc}\t\n\r]|[\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
    .replaceAll(/[&<>"]/g, (character) => entities.get(character) ?? '')
}
