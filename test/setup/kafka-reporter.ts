/** Says at the end of a run how many tests had a real Kafka, and why the others had none: a skipped suite is easily overlooked. */
import process from 'node:process'
import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node'
import { kafkaVersion } from './kafka-jars.ts'

declare module 'vitest' {
  interface TaskMeta {
    /** On every test of a Kafka suite: why it is skipped, empty when it is not. */
    kafka?: { skipReason: string }
  }
}

/** A class, because vitest makes one of what `--reporter` names. */
export default class KafkaReporter implements Reporter {
  #vitest: Vitest | undefined

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  async onTestRunEnd(modules: readonly TestModule[]): Promise<void> {
    const tests = modules.flatMap((module) => [...module.children.allTests()]).filter((test) => test.meta().kafka !== undefined)
    for (const line of summaryOf(tests, await brokerName())) this.#vitest?.logger.log(line)
  }
}

/** No line where the run had no Kafka suite: somebody asked for another file. */
function summaryOf(tests: readonly TestCase[], broker: string): string[] {
  const counts = new Map<string, number>()
  for (const test of tests) {
    const fate = hasRun(test)
      ? `ran against ${broker}`
      : `skipped: ${test.meta().kafka?.skipReason || 'not asked for, or their suite failed'}`
    counts.set(fate, (counts.get(fate) ?? 0) + 1)
  }
  return [...counts].map(([fate, count]) => `Kafka: ${count} test${count === 1 ? '' : 's'} ${fate}`)
}

function hasRun(test: TestCase): boolean {
  const { state } = test.result()
  return state === 'passed' || state === 'failed'
}

async function brokerName(): Promise<string> {
  return process.env['TEST_KAFKA_BROKERS'] ? 'the broker that TEST_KAFKA_BROKERS names' : `Apache Kafka ${await kafkaVersion()}`
}
