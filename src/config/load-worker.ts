/** The thread of load-apart.ts: loads one configuration, tells what came of it, and ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { RelayError, type RelayErrorCode } from '../errors.ts'
import { boundPaths } from './bound.ts'
import { ConfigError, formatPath, type ConfigIssue } from './issues.ts'
import { loadConfig, type LoadedConfig } from './load.ts'
import type { Stamps } from './stamp.ts'

export interface LoadTask {
  file: string
  env: Readonly<Record<string, string | undefined>>
}

/** What can go from thread to thread: functions cannot, so the rules are compiled again on the other side. */
export type LoadedApart =
  | (Pick<LoadedConfig, 'config' | 'files' | 'hash' | 'looked' | 'warnings'> & {
      /** Of {@link boundPaths}, by the path's text. */
      places: ReadonlyMap<string, ReturnType<LoadedConfig['place']>>
    })
  | { issues: readonly ConfigIssue[]; looked: Stamps }
  | { code: RelayErrorCode; message: string; hint: string | undefined }

function load({ file, env }: LoadTask): LoadedApart {
  try {
    const { config, files, hash, looked, warnings, place } = loadConfig({ file, env })
    return { config, files, hash, looked, warnings, places: new Map(boundPaths.map((path) => [formatPath(path), place(path)])) }
  } catch (error) {
    if (error instanceof ConfigError) return { issues: error.issues, looked: error.looked }
    if (error instanceof RelayError) return { code: error.code, message: error.message, hint: error.hint }
    throw error
  }
}

const task: LoadTask = workerData
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- of a thread, not of a window
parentPort?.postMessage(load(task))
