/** Loads a configuration in a thread of its own: a thousand rules take seconds to read and check, and no request has to wait for them. */
import { Worker } from 'node:worker_threads'
import { RelayError } from '../errors.ts'
import { compileRulesInTurns } from '../route/plan.ts'
import { ConfigError, formatPath } from './issues.ts'
import type { LoadedConfig } from './load.ts'
import type { LoadedApart, LoadTask } from './load-worker.ts'

/**
 * As `loadConfig`, but that `place` knows only what bound.ts names: of anything else it is the beginning of the file.
 *
 * @throws ConfigError, RelayError
 */
export async function loadApart(task: LoadTask): Promise<LoadedConfig> {
  const { file } = task
  const answer = await answerTo(task)
  if ('issues' in answer) throw new ConfigError(file, answer.issues, answer.looked)
  if ('code' in answer) {
    const { code, message, hint } = answer
    throw new RelayError(code, message, hint === undefined ? {} : { hint })
  }
  const { places, ...loaded } = answer
  return {
    ...loaded,
    file,
    plan: await compileRulesInTurns(loaded.config),
    place: (path) => places.get(formatPath(path)) ?? { file, line: 1, column: 1 },
  }
}

function answerTo(task: LoadTask): Promise<LoadedApart> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./load-worker.js', import.meta.url), { workerData: task })
    worker.on('message', resolve)
    worker.on('error', reject)
    // After a message this changes nothing.
    worker.on('exit', (code) => reject(new Error(`the thread that reads the configuration ended with ${code}`)))
  })
}
