/** The jars of a real Apache Kafka, resolved from Maven Central once and kept between runs. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from './root.ts'

const run = promisify(execFile)
const pom = join(root, 'test/setup/kafka/pom.xml')
const cache = join(root, '.cache/kafka/')

/** 45 MB; on a slow line that is minutes, a hang is not. */
const downloadTimeoutMs = 300_000

/** Of the broker: it is also the name of its cache directory, so a new version is fetched beside the old. */
export async function kafkaVersion(): Promise<string> {
  const version = /<kafka\.version>(.+?)<\/kafka\.version>/.exec(await readFile(pom, 'utf8'))?.[1]
  if (version === undefined) throw new Error(`${pom} names no kafka.version`)
  return version
}

/** The directory with the jars. A download counts only when it is whole: it becomes visible by one rename. */
export async function kafkaJars(version: string): Promise<string> {
  const jars = `${cache}${version}`
  if (existsSync(jars)) return jars
  const partial = `${jars}.${process.pid}.partial`
  await mkdir(cache, { recursive: true })
  try {
    await run('mvn', ['-B', '-q', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${partial}`], {
      timeout: downloadTimeoutMs,
    })
    await rename(partial, jars)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    // Another run that came first with the same jars is as good.
    if (!existsSync(jars)) throw new Error(`Kafka's jars cannot be fetched: ${outputOf(error)}`, { cause: error })
  }
  return jars
}

/** Maven says what is wrong on its standard output. */
function outputOf(error: unknown): string {
  return error instanceof Error && 'stdout' in error ? `${error.message} ${String(error.stdout).slice(0, 2_000)}` : String(error)
}
