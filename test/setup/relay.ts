/** A relay in this process, on a configuration written in the test. */
import { writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { loadConfig } from '../../src/config/load.ts'
import { serve } from '../../src/serve.ts'
import { writeConfig, type RelayConfig, type TestRelay } from './relay-process.ts'

export type { TestRelay } from './relay-process.ts'

export interface ReloadableRelay extends TestRelay {
  /** Writes another configuration and has it read. @returns whether it runs now */
  reload(yaml: string): Promise<boolean>
}

/** In this process, on a free port. */
export async function startRelay({ yaml, env = {} }: RelayConfig): Promise<ReloadableRelay> {
  const config = writeConfig(yaml)
  let lines = ''
  const log = pino({ level: 'debug' }, { write: (line: string) => void (lines += line) })
  try {
    const relay = await serve({ load: () => loadConfig({ file: config.file, env }), env, log, startLimitMs: 5_000 })
    return {
      url: `http://127.0.0.1:${relay.port}`,
      log: () => lines,
      file: config.file,
      reload(changed) {
        writeFileSync(config.file, changed)
        return relay.reload('a test')
      },
      async stop() {
        await relay.stop()
        config.remove()
      },
    }
  } catch (error) {
    config.remove()
    throw error
  }
}
