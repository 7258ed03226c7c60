// Reads vitest's JSON report and prints what became of the tests, `N passed, N failed, N skipped` last.
// Fails unless every test passed and some of them had a Kafka: a skipped suite proves nothing.
import { existsSync, readFileSync } from 'node:fs'

const [file = ''] = process.argv.slice(2)
const files = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).testResults : []
const tests = files.flatMap(({ assertionResults }) => assertionResults)
const withStatus = (wanted) => tests.filter(({ status }) => status === wanted).length

// A file that could not be loaded or cleaned up after has no test that failed, and is a failure all the same.
const broken = files.filter(
  ({ status, assertionResults }) => status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
)
const passed = withStatus('passed')
const failed = withStatus('failed') + broken.length
const skipped = tests.length - passed - withStatus('failed')
const kafka = tests.filter(({ meta }) => meta.kafka !== undefined)
const kafkaRan = kafka.filter(({ status }) => status === 'passed' || status === 'failed')

for (const { name, message } of broken) console.log(`${name} failed outside of its tests: ${message}`)
if (skipped > 0) console.log(`${skipped} tests were skipped, none may be`)
if (kafkaRan.length === 0) console.log('no test ran against Kafka, some must')
console.log(`${kafkaRan.length} of ${kafka.length} Kafka tests ran`)
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
if (passed === 0 || failed > 0 || skipped > 0 || kafkaRan.length === 0) process.exitCode = 1
