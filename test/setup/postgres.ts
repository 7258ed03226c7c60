/** One Postgres server for all test files: the one TEST_DATABASE_URL names, else an embedded one of this run. */
import { readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { TestProject } from 'vitest/node'
import { RelayError } from '../../src/errors.ts'
import { startEmbedded } from '../../src/store/embedded/index.ts'
import { makeServerDir } from './server-dir.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A server on which the tests may create databases; see database.ts. */
    databaseUrl: string
  }
}

const prefix = 'gemini-relay-tests-'

/** A directory younger than this may be that of a run that is just beginning. */
const beginningMs = 60_000

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['TEST_DATABASE_URL']
  if (given !== undefined && given !== '') {
    project.provide('databaseUrl', given)
    return undefined
  }
  await removeAbandoned()
  const dataDir = makeServerDir(prefix)
  const embedded = await startEmbedded({ dataDir, settings: { max_connections: 300 } })
  project.provide('databaseUrl', embedded.url)
  return async () => {
    await embedded.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** Stops and deletes what a test run that was killed has left; one that is running keeps its own. */
async function removeAbandoned(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(prefix)) continue
    const dataDir = join(tmpdir(), name)
    const age = Date.now() - (statSync(dataDir, { throwIfNoEntry: false })?.birthtimeMs ?? Number.POSITIVE_INFINITY)
    if (age < beginningMs) continue
    try {
      const abandoned = await startEmbedded({ dataDir })
      await abandoned.stop()
      rmSync(dataDir, { recursive: true, force: true })
    } catch (error) {
      // Somebody else's, or in use: not ours to remove.
      if (!(error instanceof RelayError)) throw error
    }
  }
}
